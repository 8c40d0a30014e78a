import { useCallback, useEffect, useState } from "react";
import * as format from "@/lib/format";
import { answer, gateway } from "@/lib/gateway";
import { useDoing } from "@/lib/session";
import type { SignedIn } from "@/lib/types";
import { Failure } from "../Field";

export function Sessions() {
  const [sessions, setSessions] = useState<SignedIn[]>([]);
  const { busy, failure, run } = useDoing();
  const load = useCallback(async () => setSessions((await answer(() => gateway.GET("/auth/sessions"))).sessions), []);

  useEffect(() => {
    void run(load);
  }, [load, run]);

  const end = (id: string) =>
    run(async () => {
      await answer(() => gateway.DELETE("/auth/sessions/{id}", { params: { path: { id } } }));
      await load();
    });
  return (
    <div className="inside">
      <p className="quiet">Where you are signed in. A session ends half an hour after it was last used, and after twelve hours at most.</p>
      <Failure>{failure}</Failure>
      <ul className="rows">
        {sessions.map(({ id, address, created, used, current }) => (
          <li key={id}>
            <div>
              <strong>{address || "this machine"}</strong> {current && <span className="tag good">this one</span>}
              <small>
                since {format.moment(created)}, used {format.moment(used)}
              </small>
            </div>
            {!current && (
              <button type="button" disabled={busy} aria-label={`End the session of ${address}`} onClick={() => end(id)}>
                End
              </button>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
