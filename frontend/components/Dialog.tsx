import { type ReactNode, useId, useLayoutEffect, useRef } from "react";
import { Cross } from "./icons";

interface Properties {
  title: string;
  name: string;
  onClose: () => void;
  children: ReactNode;
}

/** A window over the page. The browser keeps the focus inside, gives it back afterwards, and closes it with Escape. */
export function Dialog({ title, name, onClose, children }: Properties) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const opened = dialog.current;
    opened?.showModal();
    opened?.querySelector<HTMLElement>("form input, form select, [role=tab][aria-selected=true]")?.focus();
    return () => opened?.close();
  }, []);
  return (
    <dialog ref={dialog} className={`dialog ${name}`} aria-labelledby={id} onClose={onClose}>
      <div className="head">
        <h2 id={id}>{title}</h2>
        <button type="button" className="icon close" aria-label="Close" onClick={onClose}>
          <Cross />
        </button>
      </div>
      {children}
    </dialog>
  );
}
