import { type ReactNode, useState } from "react";

interface Properties {
  /** What it is, and that it is not shown again. */
  about: string;
  text: string;
  onDone: () => void;
  children: ReactNode;
}

/** A secret that is shown once: to be copied or written down, and then gone. */
export function Once({ about, text, onDone, children }: Properties) {
  const [copied, setCopied] = useState("");
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setCopied("Copied."),
      () => setCopied("It could not be copied: mark it by hand."),
    );
  return (
    <div className="made" role="status">
      <p>{about}</p>
      {children}
      <p className="buttons">
        <button type="button" className="primary" autoFocus onClick={copy}>
          Copy
        </button>
        <button type="button" onClick={onDone}>
          I have kept {text.includes("\n") ? "them" : "it"}
        </button>
        <span className="quiet">{copied}</span>
      </p>
    </div>
  );
}
