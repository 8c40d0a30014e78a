import { useEffect, useState } from "react";
import { sentence } from "@/lib/alerts";
import type { AlertDesk, Told } from "@/lib/desk";
import * as format from "@/lib/format";
import { cameAt } from "./alerts/AlertList";
import { Bell, Cross } from "./icons";

const SHOWN_MS = 12_000;

/** Alerts that have just come: said aloud, and shown for a while in the corner. */
export function Toasts({ desk }: { desk: AlertDesk }) {
  return (
    <div className="toasts" role="log" aria-live="polite" aria-label="Alerts that came">
      {desk.told.map((told) => (
        <Toast key={told.key} told={told} onEnd={desk.dismiss} />
      ))}
    </div>
  );
}

function Toast({ told: { key, alert }, onEnd }: { told: Told; onEnd: (key: string) => void }) {
  const [held, setHeld] = useState(false);
  useEffect(() => {
    if (held) return;
    const timer = window.setTimeout(() => onEnd(key), SHOWN_MS);
    return () => window.clearTimeout(timer);
  }, [held, key, onEnd]);
  return (
    <div
      className="toast"
      onMouseEnter={() => setHeld(true)}
      onMouseLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)}
      onBlur={() => setHeld(false)}
    >
      <Bell />
      <div>
        <strong>{sentence(alert)}</strong>
        <small>
          {cameAt(alert)}, {format.clock(alert.ts_triggered ?? 0)} UTC
          {alert.note && ` · ${alert.note}`}
        </small>
      </div>
      <button type="button" className="icon" aria-label={`Dismiss: ${sentence(alert)}`} onClick={() => onEnd(key)}>
        <Cross />
      </button>
    </div>
  );
}
