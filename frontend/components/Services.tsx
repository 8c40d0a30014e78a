import { memo } from "react";
import * as format from "@/lib/format";
import type { Service } from "@/lib/types";
import { Empty, Panel } from "./Panel";

const TONES: Record<string, string> = { running: "good", stopped: "warn", failed: "bad", done: "calm" };

export const Services = memo(function Services({ services }: { services: Service[] }) {
  return (
    <Panel name="services" title="Services">
      {services.length === 0 ? (
        <Empty>The services report here once they have started.</Empty>
      ) : (
        <ul>
          {services.map((service) => (
            <Chip key={service.name} service={service} />
          ))}
        </ul>
      )}
    </Panel>
  );
});

function Chip({ service }: { service: Service }) {
  const { name, state, detail, processed, lag_ms, queue } = service;
  const done = progressOf(service);
  const counts = [`${format.compact(processed)} handled`];
  if (lag_ms !== null) counts.push(`${format.quantity(Number(lag_ms.toPrecision(2)))} ms behind`);
  if (queue) counts.push(`${format.compact(queue)} waiting`);
  return (
    <li data-service={name} className={TONES[state] ?? "calm"} title={detail}>
      <div className="line">
        <span className="lamp" aria-hidden="true" />
        <strong>{name}</strong>
        <span className="state">{state}</span>
      </div>
      {done !== null && <progress max={100} value={done} aria-label={`Progress of ${name}`} />}
      <p className="detail">{detail}</p>
      <p className="quiet counts">{counts.join(", ")}</p>
    </li>
  );
}

/** The share of a recorded session that is done, which the feed writes in its detail as "48%". */
function progressOf({ state, detail }: Service): number | null {
  const found = /(\d+(?:\.\d+)?)\s*%/.exec(detail);
  if (!found) return null;
  return state === "done" ? 100 : Math.min(100, Number(found[1]));
}
