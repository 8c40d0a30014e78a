import { type InputHTMLAttributes, type ReactNode, useId, useState } from "react";

interface Properties extends InputHTMLAttributes<HTMLInputElement> {
  label: string;
  /** One line below: what is wanted, or what for. */
  hint?: ReactNode;
  onText?: (text: string) => void;
}

/** A labelled line of text. */
export function Field({ label, hint, onText, className = "", ...input }: Properties) {
  const id = useId();
  return (
    <div className={`field ${className}`}>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(event) => onText?.(event.target.value)}
        {...input}
      />
      {hint && (
        <p className="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

/** A password, which may be looked at. */
export function Password({ label, hint, onText, ...input }: Properties) {
  const id = useId();
  const [open, setOpen] = useState(false);
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <div className="joined">
        <input
          id={id}
          type={open ? "text" : "password"}
          required
          maxLength={1024}
          spellCheck={false}
          autoCapitalize="none"
          aria-describedby={hint ? `${id}-hint` : undefined}
          onChange={(event) => onText?.(event.target.value)}
          {...input}
        />
        <button type="button" aria-pressed={open} aria-label={`Show ${label.toLowerCase()}`} onClick={() => setOpen(!open)}>
          {open ? "Hide" : "Show"}
        </button>
      </div>
      {hint && (
        <p className="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

/** The code of a second factor. */
export function Code(properties: Omit<Properties, "label"> & { label?: string }) {
  return (
    <Field
      label="Code"
      className="code"
      required
      maxLength={32}
      inputMode="numeric"
      autoComplete="one-time-code"
      spellCheck={false}
      {...properties}
    />
  );
}

interface ChoiceProperties {
  label: string;
  value: string;
  options: readonly (readonly [value: string, text: string])[];
  onText: (text: string) => void;
  disabled?: boolean;
}

/** One of several, in a list. */
export function Choice({ label, value, options, onText, disabled }: ChoiceProperties) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <select id={id} value={value} disabled={disabled} onChange={(event) => onText(event.target.value)}>
        {options.map(([name, text]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

export function Failure({ children }: { children: ReactNode }) {
  return children ? (
    <p className="failure" role="alert">
      {children}
    </p>
  ) : null;
}
