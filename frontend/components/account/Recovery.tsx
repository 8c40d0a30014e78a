import { useEffect, useState } from "react";
import { answer, gateway } from "@/lib/gateway";
import { useDoing } from "@/lib/session";
import { Failure } from "../Field";
import { Once } from "./Once";

/** Codes for who loses the authenticator: how many still hold, and new ones, which are shown once. */
export function Recovery() {
  const [left, setLeft] = useState<number | null>(null);
  const [codes, setCodes] = useState<string[]>([]);
  const { busy, failure, run } = useDoing();

  useEffect(() => {
    void run(async () => setLeft((await answer(() => gateway.GET("/auth/recovery-codes"))).left));
  }, [run]);

  const make = () =>
    run(async () => {
      const made = await answer(() => gateway.POST("/auth/recovery-codes"));
      setCodes(made.codes);
      setLeft(made.codes.length);
    });
  if (codes.length > 0) {
    return (
      <Once
        about="Your recovery codes. Each stands in for the authenticator once. Keep them now: they are not shown again."
        text={codes.join("\n")}
        onDone={() => setCodes([])}
      >
        <ul className="codes" aria-label="Recovery codes">
          {codes.map((code) => (
            <li key={code}>
              <code>{code}</code>
            </li>
          ))}
        </ul>
      </Once>
    );
  }
  return (
    <div className="rows">
      <Failure>{failure}</Failure>
      <div className="row">
        <div>
          <strong>Recovery codes</strong>
          <small>
            {left === null
              ? "Loading…"
              : left === 0
                ? "None: without the authenticator you would be locked out."
                : `${left} still ${left === 1 ? "holds" : "hold"}.`}
          </small>
        </div>
        <button type="button" disabled={busy} onClick={make}>
          {left ? "Make new ones" : "Make recovery codes"}
        </button>
      </div>
    </div>
  );
}
