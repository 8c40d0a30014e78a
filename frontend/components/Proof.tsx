import { type FormEvent, useEffect, useState } from "react";
import { answer, gateway, person } from "@/lib/gateway";
import { useDoing } from "@/lib/session";
import { Dialog } from "./Dialog";
import { Code, Failure, Password } from "./Field";

/** Asks again for the password, or the code, when the platform wants to be sure that it is still the same person. */
export function Proof({ secondFactor }: { secondFactor: boolean }) {
  const [waiting, setWaiting] = useState<((proved: boolean) => void) | null>(null);
  const [given, setGiven] = useState("");
  const { busy, failure, run, clear } = useDoing();

  useEffect(() => {
    person.prove = () => new Promise((resolve) => setWaiting(() => resolve));
    return () => {
      person.prove = async () => false;
    };
  }, []);

  if (!waiting) return null;
  const end = (proved: boolean) => {
    clear();
    setGiven("");
    setWaiting(null);
    waiting(proved);
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const body = secondFactor ? { code: given } : { password: given };
    if (await run(() => answer(() => gateway.POST("/auth/step-up", { body })))) end(true);
  };
  return (
    <Dialog name="proof" title="Is it still you?" onClose={() => end(false)}>
      <form className="inside" onSubmit={submit}>
        <p className="quiet">
          This changes who may do what, so {secondFactor ? "a code of your authenticator" : "your password"} is asked for again.
          It then holds for five minutes.
        </p>
        {secondFactor ? (
          <Code autoFocus value={given} onText={setGiven} />
        ) : (
          <Password label="Password" autoFocus autoComplete="current-password" value={given} onText={setGiven} />
        )}
        <Failure>{failure}</Failure>
        <p className="buttons">
          <button type="submit" className="primary" disabled={busy}>
            Confirm
          </button>
          <button type="button" onClick={() => end(false)}>
            Cancel
          </button>
        </p>
      </form>
    </Dialog>
  );
}
