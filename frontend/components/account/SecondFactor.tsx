import { type FormEvent, useEffect, useState } from "react";
import { encode } from "uqr";
import { answer, gateway } from "@/lib/gateway";
import { useDoing } from "@/lib/session";
import type { Factor, Who } from "@/lib/types";
import { Code, Failure } from "../Field";
import { Recovery } from "./Recovery";

interface Properties {
  who: Who;
  onChange: () => Promise<void>;
}

export function SecondFactor({ who, onChange }: Properties) {
  const [factor, setFactor] = useState<Factor | null>(null);
  const [code, setCode] = useState("");
  const { busy, failure, run } = useDoing();
  const isOn = who.second_factor;

  const begin = () => run(async () => setFactor(await answer(() => gateway.POST("/auth/totp/begin"))));
  const confirm = async (event: FormEvent) => {
    event.preventDefault();
    const body = { code: code.trim() };
    await run(async () => {
      if (isOn) await answer(() => gateway.POST("/auth/totp/off", { body }));
      else await answer(() => gateway.POST("/auth/totp/confirm", { body }));
      setFactor(null);
      setCode("");
      await onChange();
    });
  };

  if (!isOn && !factor) {
    return (
      <div className="inside">
        <p>
          <span className="tag">off</span> With a second factor a password alone is not enough: an authenticator on your telephone
          shows a code that is asked for as well.
        </p>
        <Failure>{failure}</Failure>
        <p className="buttons">
          <button type="button" className="primary" disabled={busy} onClick={begin}>
            Set up
          </button>
        </p>
      </div>
    );
  }
  const form = (
    <form className={isOn ? "" : "inside"} onSubmit={confirm}>
      {!isOn && factor && <Secret factor={factor} />}
      <Code autoFocus={!isOn} value={code} hint={isOn ? "A code, or a recovery code, turns it off." : "The six digits that it shows now."} onText={setCode} />
      <Failure>{failure}</Failure>
      <p className="buttons">
        <button type="submit" className={isOn ? "grave" : "primary"} disabled={busy}>
          {isOn ? "Turn off" : "Confirm"}
        </button>
      </p>
    </form>
  );
  if (!isOn) return form;
  return (
    <div className="inside">
      <p>
        <span className="tag good">on</span> A code of your authenticator is asked for when you sign in.
      </p>
      <Recovery />
      {form}
    </div>
  );
}

/** The secret of an authenticator, to be scanned or typed. The drawing is made here: the secret goes nowhere. */
function Secret({ factor }: { factor: Factor }) {
  const [drawing, setDrawing] = useState({ size: 0, path: "" });
  useEffect(() => {
    const { size, data } = encode(factor.uri, { border: 2 });
    const path = data.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : "")));
    setDrawing({ size, path: path.join("") });
  }, [factor]);
  return (
    <div className="factor">
      <svg viewBox={`0 0 ${drawing.size} ${drawing.size}`} role="img" aria-label="QR code for your authenticator" className="qr">
        <path d={drawing.path} shapeRendering="crispEdges" />
      </svg>
      <div>
        <p>Scan this with your authenticator, or type the secret into it. It is shown once.</p>
        <p>
          <code data-testid="secret">{factor.secret.replace(/(.{4})(?=.)/g, "$1 ")}</code>
        </p>
        <p>
          <a href={factor.uri}>Open in an authenticator on this device</a>
        </p>
      </div>
    </div>
  );
}
