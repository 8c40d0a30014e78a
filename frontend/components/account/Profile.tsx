import { type FormEvent, useEffect, useState } from "react";
import * as format from "@/lib/format";
import { answer, gateway } from "@/lib/gateway";
import { useDoing } from "@/lib/session";
import type { Profile as Shown } from "@/lib/types";
import { Failure, Field } from "../Field";

export function Profile() {
  const [profile, setProfile] = useState<Shown | null>(null);
  const [saved, setSaved] = useState(false);
  const { busy, failure, run } = useDoing();

  useEffect(() => {
    void run(async () => setProfile(await answer(() => gateway.GET("/profile"))));
  }, [run]);

  if (!profile) return <div className="inside">{failure ? <Failure>{failure}</Failure> : <p className="quiet">Loading…</p>}</div>;
  const change = (changes: Partial<Shown>) => {
    setSaved(false);
    setProfile({ ...profile, ...changes });
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const { display_name, email, time_zone } = profile;
    const body = { display_name, time_zone, email: email?.trim() || null };
    setSaved(await run(async () => setProfile(await answer(() => gateway.PUT("/profile", { body })))));
  };
  return (
    <form className="inside" onSubmit={submit}>
      <Field
        label="Your name"
        hint={`You sign in as ${profile.name}, with the role ${profile.role}.`}
        maxLength={256}
        autoComplete="name"
        value={profile.display_name}
        onText={(display_name) => change({ display_name })}
      />
      <Field
        label="E-mail"
        type="email"
        maxLength={256}
        autoComplete="email"
        value={profile.email ?? ""}
        onText={(email) => change({ email })}
      />
      <Field
        label="Time zone"
        required
        maxLength={64}
        list="zones"
        autoComplete="off"
        value={profile.time_zone}
        onText={(time_zone) => change({ time_zone })}
      />
      <Zones />
      <Failure>{failure}</Failure>
      <p className="buttons">
        <button type="submit" className="primary" disabled={busy}>
          Save
        </button>
        <span className="quiet" role="status">
          {saved && "Saved."}
        </span>
      </p>
      <p className="quiet after">
        {profile.signed_in && `Last signed in ${format.moment(profile.signed_in)}`}
        {profile.failed > 0 && `, and ${profile.failed} tries failed since`}
      </p>
    </form>
  );
}

/** The time zones that the browser knows, for fields with the list "zones". */
export function Zones() {
  return (
    <datalist id="zones">
      {["UTC", ...Intl.supportedValuesOf("timeZone")].map((zone) => (
        <option key={zone} value={zone} />
      ))}
    </datalist>
  );
}
