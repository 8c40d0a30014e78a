import { sentence } from "@/lib/alerts";
import type { AlertDesk } from "@/lib/desk";
import * as format from "@/lib/format";
import { useDoing } from "@/lib/session";
import type { Alert } from "@/lib/types";
import { Failure } from "../Field";
import { Empty } from "../Panel";

const TONES: Record<string, string> = { active: "open", triggered: "good", paused: "warn", expired: "calm" };

/** The alerts as they stand, newest first. */
export function AlertList({ desk }: { desk: AlertDesk }) {
  const { busy, failure, run } = useDoing();
  if (desk.alerts.length === 0) {
    return <Empty>{desk.failure || "No alert yet. Say above what you want to be told of."}</Empty>;
  }
  return (
    <>
      <Failure>{failure || desk.failure}</Failure>
      <ul className="alertlist" aria-label="Your alerts">
        {desk.alerts.map((alert) => (
          <li key={alert.id} data-alert={alert.id}>
            <div className="what">
              <strong>{sentence(alert)}</strong>
              <small>{detailOf(alert)}</small>
            </div>
            <span className={`tag ${TONES[alert.status] ?? "calm"}`}>{alert.status}</span>
            <div className="actions">
              {(alert.status === "active" || alert.status === "paused") && (
                <button
                  type="button"
                  className="small"
                  disabled={busy}
                  aria-label={`${alert.status === "paused" ? "Resume" : "Pause"}: ${sentence(alert)}`}
                  onClick={() => void run(() => desk.setPaused(alert.id, alert.status === "active"))}
                >
                  {alert.status === "paused" ? "Resume" : "Pause"}
                </button>
              )}
              <button
                type="button"
                className="small"
                disabled={busy}
                aria-label={`Remove: ${sentence(alert)}`}
                onClick={() => void run(() => desk.remove(alert.id))}
              >
                Remove
              </button>
            </div>
          </li>
        ))}
      </ul>
    </>
  );
}

function detailOf(alert: Alert): string {
  const parts = [alert.mode === "every" ? "every time" : "once"];
  if (alert.ts_triggered !== null) {
    const times = alert.number > 1 ? `came ${alert.number} times, last` : "came";
    parts.push(`${times} ${cameAt(alert)}, ${format.moment(alert.ts_triggered)}`);
  }
  if (alert.ts_expires !== null) parts.push(`until ${format.moment(alert.ts_expires)}`);
  if (alert.note) parts.push(alert.note);
  return parts.join(" · ");
}

/** The price at which an alert came, or what was compared where there is none. */
export function cameAt({ triggered_price, triggered_value }: Alert): string {
  if (triggered_price !== null) return `at ${format.price(triggered_price)}`;
  return triggered_value === null ? "" : `with ${format.quantity(rounded(triggered_value))}`;
}

/** The times that alerts came, newest first. */
export function AlertHistory({ events }: { events: Alert[] }) {
  if (events.length === 0) return <Empty>No alert has come so far. Each time that one does is listed here.</Empty>;
  return (
    <table className="history">
      <thead>
        <tr>
          <th scope="col">Time</th>
          <th scope="col">Alert</th>
          <th scope="col" className="number">
            Value
          </th>
          <th scope="col" className="number spacious">
            Price
          </th>
        </tr>
      </thead>
      <tbody>
        {events.map((event) => (
          <tr key={`${event.id} ${event.number}`}>
            <td className="quiet" title={`${format.day(event.ts_triggered ?? 0)}, UTC`}>
              {format.clock(event.ts_triggered ?? 0)}
            </td>
            <td>
              {sentence(event)}
              {event.note && <small>{event.note}</small>}
            </td>
            <td className="number">{format.quantity(rounded(event.triggered_value))}</td>
            <td className="number spacious">{format.price(event.triggered_price)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const rounded = (value: number | null) =>
  value === null ? null : Math.abs(value) >= 1000 ? Math.round(value * 100) / 100 : Number(value.toPrecision(6));
