import { useEffect, useState } from "react";
import * as format from "@/lib/format";
import { answer, gateway } from "@/lib/gateway";
import { useDoing } from "@/lib/session";
import type { Delivery } from "@/lib/types";
import { Failure } from "../Field";
import { Empty } from "../Panel";

const TONES: Record<Delivery["state"], string> = { sent: "good", waiting: "open", digested: "calm", failed: "bad", dropped: "warn" };
const PAGE = 50;

/** What was told, newest first, and what was not, and why. */
export function DeliveryLog() {
  const [rows, setRows] = useState<Delivery[]>([]);
  const [more, setMore] = useState(true);
  const { busy, failure, run } = useDoing();

  const load = (known: Delivery[]) =>
    run(async () => {
      const last = known.at(-1);
      const query = { limit: PAGE, after: last ? `${last.number}-${last.channel}` : "" };
      const { deliveries } = await answer(() => gateway.GET("/notifications", { params: { query } }));
      setRows([...known, ...deliveries]);
      setMore(deliveries.length === PAGE);
    });
  useEffect(() => {
    void load([]);
    // once, when it is opened
  }, []);

  return (
    <div className="inside">
      <Failure>{failure}</Failure>
      {rows.length === 0 && !busy && !failure && <Empty>Nothing has been told so far.</Empty>}
      <ul className="rows log" aria-label="What was told">
        {rows.map((row) => (
          <li key={`${row.number} ${row.channel}`}>
            <div>
              <strong>{row.event}</strong> {summary(row)}
              <small>
                {format.moment(row.ts)} · to {row.channel_name} · #{row.number}
                {row.digest !== null && row.digest !== row.number && ` · told in #${row.digest}`}
                {row.attempts > 1 && ` · ${row.attempts} attempts`}
              </small>
              {row.error && <small className="down">{row.error}</small>}
            </div>
            <span className={`tag ${TONES[row.state]}`}>{row.state}</span>
          </li>
        ))}
      </ul>
      <p className="buttons">
        {more && rows.length > 0 && (
          <button type="button" disabled={busy} onClick={() => void load(rows)}>
            Older
          </button>
        )}
        <button type="button" disabled={busy} onClick={() => void load([])}>
          Refresh
        </button>
      </p>
    </div>
  );
}

/** The gist of what happened, from the fields that most events have. */
function summary({ fields }: Delivery): string {
  const given = fields as Record<string, unknown>;
  const words = given.what ? [given.what] : [given.side, given.quantity, given.symbol, given.service, given.state, given.channel];
  return words.filter((word) => typeof word === "string" || typeof word === "number").join(" ");
}
