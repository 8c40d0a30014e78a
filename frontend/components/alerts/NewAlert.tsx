import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { COMPARISONS, COOLDOWNS, type Draft, partsOf, WATCHED, type Watched, wantedOf, WINDOWS } from "@/lib/alerts";
import { type AlertDesk, newKey } from "@/lib/desk";
import { useDoing } from "@/lib/session";
import { Choice, Failure, Field } from "../Field";

interface Properties {
  desk: AlertDesk;
  symbols: string[];
  timeframes: string[];
  /** What the chart shows: what one is looking at is what one is likely to want to be told of. */
  symbol: string;
  timeframe: string;
}

const START: Omit<Draft, "symbol" | "timeframe"> = {
  watched: "price",
  comparison: "above",
  target: "",
  window: "15m",
  length: "",
  every: false,
  cooldown: "0",
  hysteresis: "",
  expires: "",
  note: "",
};

/** An alert in one line that reads as a sentence; what is needed less often is below it. */
export function NewAlert({ desk, symbols, timeframes, symbol, timeframe }: Properties) {
  const [draft, setDraft] = useState<Draft>({ ...START, symbol, timeframe });
  const [more, setMore] = useState(false);
  const key = useRef(newKey());
  const id = useId();
  const { busy, failure, run } = useDoing();
  const parts = partsOf(draft.watched);
  const set = (changes: Partial<Draft>) => {
    key.current = newKey(); // another alert than the one that was tried
    setDraft((before) => ({ ...before, ...changes }));
  };

  useEffect(() => {
    setDraft((before) => ({ ...before, symbol, timeframe }));
  }, [symbol, timeframe]);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (await run(() => desk.create(wantedOf(draft), key.current))) set({ target: "", note: "" });
  };
  const pick = (label: string, value: string, options: readonly (readonly [string, string])[], onText: (text: string) => void) => (
    <select aria-label={label} value={value} onChange={(event) => onText(event.target.value)}>
      {options.map(([name, text]) => (
        <option key={name} value={name}>
          {text}
        </option>
      ))}
    </select>
  );
  const same = (names: string[]) => names.map((name) => [name, name] as const);

  return (
    <form className="newalert" onSubmit={submit} aria-label="New alert">
      <div className="oneline">
        {parts.symbol && pick("Symbol of the alert", draft.symbol, same(symbols), (text) => set({ symbol: text }))}
        {pick("Watch", draft.watched, WATCHED, (text) => set({ watched: text as Watched, length: "" }))}
        {parts.length !== null && (
          <input
            aria-label="Length, candles"
            title="Length, candles"
            className="length"
            type="number"
            min={1}
            max={1000}
            placeholder={String(parts.length)}
            value={draft.length}
            onChange={(event) => set({ length: event.target.value })}
          />
        )}
        {parts.timeframe && pick("Timeframe", draft.timeframe, same(timeframes), (text) => set({ timeframe: text }))}
        {parts.window && pick("Within", draft.window, same(Object.keys(WINDOWS)), (text) => set({ window: text }))}
        {pick("Condition", draft.comparison, COMPARISONS, (text) => set({ comparison: text }))}
        <input
          aria-label="Target"
          className="target"
          type="number"
          step="any"
          inputMode="decimal"
          required
          placeholder="target"
          value={draft.target}
          onChange={(event) => set({ target: event.target.value })}
        />
        {pick("How often", draft.every ? "every" : "once", [["once", "once"], ["every", "every time"]], (text) =>
          set({ every: text === "every" }),
        )}
        <button type="button" aria-expanded={more} aria-controls={id} onClick={() => setMore(!more)}>
          {more ? "Less" : "More"}
        </button>
        <button type="submit" className="primary" disabled={busy || !draft.symbol}>
          Add
        </button>
      </div>
      {more && (
        <div className="fields" id={id}>
          {draft.every && (
            <>
              <Choice label="Cool-down" value={draft.cooldown} options={COOLDOWNS} onText={(cooldown) => set({ cooldown })} />
              <Field
                label="Comes again after, %"
                title="How far beyond the target the value has to go back first"
                type="number"
                min={0}
                step="any"
                placeholder="0"
                value={draft.hysteresis}
                onText={(hysteresis) => set({ hysteresis })}
              />
            </>
          )}
          <Field label="Expires, UTC" type="datetime-local" value={draft.expires} onText={(expires) => set({ expires })} />
          <Field label="Note" maxLength={500} value={draft.note} onText={(note) => set({ note })} />
        </div>
      )}
      <Failure>{failure}</Failure>
    </form>
  );
}
