import { type FormEvent, useCallback, useEffect, useState } from "react";
import * as format from "@/lib/format";
import { answer, gateway } from "@/lib/gateway";
import { useDoing } from "@/lib/session";
import type { Key, Permission, Who } from "@/lib/types";
import { Choice, Failure, Field } from "../Field";
import { Once } from "./Once";

const ABOUT: Record<Permission, string> = { read: "look", alerts: "have alerts", trade: "place orders", admin: "manage users" };
const DAYS = [
  ["7", "7 days"],
  ["30", "30 days"],
  ["90", "90 days"],
  ["365", "a year"],
  ["", "until it is revoked"],
] as const;

export function Keys({ who }: { who: Who }) {
  const [keys, setKeys] = useState<Key[]>([]);
  const [made, setMade] = useState("");
  const { busy, failure, run } = useDoing();
  const load = useCallback(async () => setKeys((await answer(() => gateway.GET("/keys"))).keys), []);

  useEffect(() => {
    void run(load);
  }, [load, run]);

  const revoke = (id: string) =>
    run(async () => {
      await answer(() => gateway.DELETE("/keys/{id}", { params: { path: { id } } }));
      await load();
    });
  const create = (name: string, scopes: Permission[], days: number | null) =>
    run(async () => {
      setMade((await answer(() => gateway.POST("/keys", { body: { name, scopes, days } }))).key);
      await load();
    });
  const held = keys.filter((key) => key.revoked === null && (key.expires === null || key.expires > Date.now()));
  return (
    <div className="inside">
      {made ? (
        <Once about="Your new key. Keep it now: it is not shown again." text={made} onDone={() => setMade("")}>
          <p>
            <code data-testid="key">{made}</code>
          </p>
        </Once>
      ) : (
        <NewKey who={who} busy={busy} onCreate={create} />
      )}
      <Failure>{failure}</Failure>
      {held.length > 0 && (
        <ul className="rows" aria-label="Your keys">
          {held.map(({ id, name, scopes, expires, used }) => (
            <li key={id}>
              <div>
                <strong>{name}</strong> <code>{id}</code>
                <small>
                  {scopes.join(", ")}; {expires === null ? "until revoked" : `until ${format.day(expires)}`},{" "}
                  {used === null ? "never used" : `used ${format.moment(used)}`}
                </small>
              </div>
              <button type="button" disabled={busy} aria-label={`Revoke the key ${name}`} onClick={() => revoke(id)}>
                Revoke
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

interface NewProperties {
  who: Who;
  busy: boolean;
  onCreate: (name: string, scopes: Permission[], days: number | null) => void;
}

function NewKey({ who, busy, onCreate }: NewProperties) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<Permission[]>(["read"]);
  const [days, setDays] = useState("90");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onCreate(name, scopes, days ? Number(days) : null);
  };
  return (
    <form onSubmit={submit}>
      <p className="quiet">A program signs in with a key, never with your password.</p>
      <div className="pair">
        <Field label="Name" hint="What it is for" required maxLength={64} autoComplete="off" value={name} onText={setName} />
        <Choice label="Holds" value={days} options={DAYS} onText={setDays} />
      </div>
      <fieldset>
        <legend>May</legend>
        {who.permissions.map((scope) => (
          <label key={scope} className="tick">
            <input
              type="checkbox"
              checked={scopes.includes(scope)}
              onChange={(event) =>
                setScopes(event.target.checked ? [...scopes, scope] : scopes.filter((one) => one !== scope))
              }
            />
            {ABOUT[scope]} <small>{scope}</small>
          </label>
        ))}
      </fieldset>
      <p className="buttons">
        <button type="submit" className="primary" disabled={busy || scopes.length === 0}>
          Make a key
        </button>
      </p>
    </form>
  );
}
