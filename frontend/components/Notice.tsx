import { useEffect, useState } from "react";
import * as format from "@/lib/format";
import type { Link } from "@/lib/stream";

interface Properties {
  link: Link;
  age: number | null;
  stale: boolean;
  finished: boolean;
  /** A snapshot has been seen, so the page shows something, if perhaps old. */
  met: boolean;
  onRetry: () => void;
}

/** One line under the header when what is shown cannot be trusted to be current, and what that means. */
export function Notice({ link, age, stale, finished, met, onRetry }: Properties) {
  if (link.phase === "waiting") return <Offline retryAt={link.retryAt} met={met} onRetry={onRetry} />;
  if (link.phase !== "live" || !stale) return null;
  if (finished) {
    return (
      <p className="notice calm" role="status">
        The recorded session has ended. The numbers are final; order buttons are off, except kill.
      </p>
    );
  }
  return (
    <p className="notice warn">
      <span role="status">
        {age === null
          ? "Connected, waiting for the first price. Order buttons, except kill, are off until it arrives."
          : "Market data has stopped: prices below are old, and order buttons, except kill, are off until it returns."}
      </span>
      {age !== null && <span>Last heard {format.age(age)} ago.</span>}
    </p>
  );
}

function Offline({ retryAt, met, onRetry }: { retryAt: number; met: boolean; onRetry: () => void }) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 500);
    return () => window.clearInterval(timer);
  }, []);
  const seconds = Math.max(1, Math.ceil((retryAt - now) / 1000));
  return (
    <p className="notice bad">
      <span role="alert">
        {met
          ? "The connection to the platform is lost. What you see is the last known state."
          : "The platform cannot be reached. Is openbell running?"}
      </span>
      <span>Trying again in {seconds} s.</span>
      <button type="button" onClick={onRetry}>
        Try now
      </button>
    </p>
  );
}
