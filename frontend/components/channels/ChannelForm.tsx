import { type FormEvent, useState } from "react";
import { EVENTS, KINDS, SEVERITIES } from "@/lib/channels";
import { answer, gateway } from "@/lib/gateway";
import { useDoing, useMay } from "@/lib/session";
import type { Channel } from "@/lib/types";
import { Zones } from "../account/Profile";
import { Choice, Failure, Field, Password } from "../Field";

interface Properties {
  known: Channel | null;
  onEnd: (changed: boolean) => void;
}

const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** What a channel is told, and where; a known one keeps its address, which nobody is shown, unless another is given. */
export function ChannelForm({ known, onEnd }: Properties) {
  const [kind, setKind] = useState("telegram");
  const [given, setGiven] = useState<Record<string, string>>({});
  const [name, setName] = useState(known?.name ?? "");
  const [all, setAll] = useState(!known || known.events.length === 0);
  const [events, setEvents] = useState<string[]>(known?.events ?? []);
  const [minimum, setMinimum] = useState<Channel["minimum"]>(known?.minimum ?? "info");
  const [[from = "", to = ""], setQuiet] = useState((known?.quiet ?? "").split("-"));
  const [zone, setZone] = useState(known?.quiet ? known.zone : HERE);
  const [house, setHouse] = useState(known?.house ?? false);
  const [moved, setMoved] = useState(!known);
  const { busy, failure, run } = useDoing();
  const isAdmin = useMay("admin");
  const { parts, address } = KINDS[kind]!;

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const quiet = from && to ? `${from}-${to}` : "";
    const settings = { name: name.trim(), events: all ? [] : events, minimum, quiet, zone, ...(isAdmin && { house }) };
    const where = moved ? { url: address(given) } : {};
    const good = await run(() =>
      known
        ? answer(() => gateway.PATCH("/channels/{id}", { params: { path: { id: known.id } }, body: { ...settings, ...where } }))
        : answer(() => gateway.POST("/channels", { body: { ...settings, url: address(given) } })),
    );
    if (good) onEnd(true);
  };

  return (
    <form className="inside" onSubmit={submit} aria-label={known ? `Channel ${known.name}` : "New channel"}>
      <Field
        label="Name"
        hint="As you call it, such as telephone"
        required
        autoFocus
        maxLength={64}
        autoComplete="off"
        value={name}
        onText={setName}
      />
      {moved ? (
        <>
          <fieldset className="segments">
            <legend>Where</legend>
            {Object.entries(KINDS).map(([id, { title }]) => (
              <label key={id}>
                <input
                  type="radio"
                  name="kind"
                  className="hidden"
                  checked={id === kind}
                  onChange={() => {
                    setKind(id);
                    setGiven({});
                  }}
                />
                {title}
              </label>
            ))}
          </fieldset>
          {parts.map(({ name: part, label, secret, type, hint }) => {
            const properties = {
              label,
              hint,
              autoComplete: "off",
              value: given[part] ?? "",
              onText: (text: string) => setGiven({ ...given, [part]: text }),
            };
            return secret ? (
              <Password key={`${kind} ${part}`} {...properties} autoComplete="new-password" />
            ) : (
              <Field key={`${kind} ${part}`} {...properties} required type={type} maxLength={1000} spellCheck={false} />
            );
          })}
        </>
      ) : (
        <p className="buttons">
          <code>{known?.shown}</code>
          <button type="button" className="small" onClick={() => setMoved(true)}>
            Another address
          </button>
        </p>
      )}
      <fieldset>
        <legend>Tell of</legend>
        <label className="tick">
          <input type="checkbox" checked={all} onChange={(event) => setAll(event.target.checked)} />
          everything
        </label>
        {!all &&
          EVENTS.map(([event, text]) => (
            <label key={event} className="tick">
              <input
                type="checkbox"
                checked={events.includes(event)}
                onChange={(change) => setEvents(change.target.checked ? [...events, event] : events.filter((one) => one !== event))}
              />
              {text}
            </label>
          ))}
      </fieldset>
      <div className="fields">
        <Choice label="How grave" value={minimum} options={SEVERITIES} onText={(text) => setMinimum(text as Channel["minimum"])} />
        <Field label="Quiet from" type="time" required={Boolean(to)} value={from} onText={(text) => setQuiet([text, to])} />
        <Field label="Quiet to" type="time" required={Boolean(from)} value={to} onText={(text) => setQuiet([from, text])} />
        <Field label="Time zone" required list="zones" maxLength={64} autoComplete="off" value={zone} onText={setZone} />
      </div>
      <Zones />
      {isAdmin && (
        <label className="tick">
          <input type="checkbox" checked={house} onChange={(event) => setHouse(event.target.checked)} />
          also of what concerns the house: its strategies, and the services
        </label>
      )}
      <Failure>{failure}</Failure>
      <p className="buttons">
        <button type="submit" className="primary" disabled={busy || (!all && events.length === 0)}>
          {known ? "Save" : "Add"}
        </button>
        <button type="button" onClick={() => onEnd(false)}>
          Cancel
        </button>
      </p>
    </form>
  );
}
