import { type FormEvent, useState } from "react";
import { answer, gateway } from "@/lib/gateway";
import { useDoing } from "@/lib/session";
import { Failure, Password } from "../Field";

export function NewPassword() {
  const [old, setOld] = useState("");
  const [wanted, setWanted] = useState("");
  const [changed, setChanged] = useState(false);
  const { busy, failure, run } = useDoing();

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const good = await run(() => answer(() => gateway.POST("/auth/password", { body: { old, new: wanted } })));
    setChanged(good);
    if (!good) return;
    setOld("");
    setWanted("");
  };
  return (
    <form className="inside" onSubmit={submit}>
      <Password label="Password now" autoComplete="current-password" value={old} onText={setOld} />
      <Password
        label="New password"
        hint="12 characters or more, of any kind: a few words that do not belong together."
        autoComplete="new-password"
        value={wanted}
        onText={setWanted}
      />
      <Failure>{failure}</Failure>
      <p className="buttons">
        <button type="submit" className="primary" disabled={busy}>
          Change the password
        </button>
        <span className="quiet" role="status">
          {changed && "Changed. Your other sessions have ended."}
        </span>
      </p>
    </form>
  );
}
