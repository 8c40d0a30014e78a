import { type FormEvent, useState } from "react";
import { answer, gateway, Refusal } from "@/lib/gateway";
import { useDoing } from "@/lib/session";
import type { Who } from "@/lib/types";
import { Code, Failure, Field, Password } from "./Field";
import { Bell } from "./icons";

type Step = "sign-in" | "code" | "sign-up" | "first";

const TITLES: Record<Step, string> = {
  "sign-in": "Sign in",
  code: "Second factor",
  "sign-up": "Make an account",
  first: "Set your first password",
};
const NEW_PASSWORD = "12 characters or more, of any kind: a few words that do not belong together.";

interface Properties {
  signUp: boolean;
  onEnter: (who: Who) => void;
}

/** The door: all that a platform with accounts shows to somebody it does not know. */
export function SignIn({ signUp, onEnter }: Properties) {
  const [step, setStep] = useState<Step>("sign-in");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [token, setToken] = useState("");
  const [said, setSaid] = useState("");
  const { busy, failure, run, clear } = useDoing();

  const go = (next: Step) => {
    clear();
    setCode("");
    setPassword("");
    setStep(next);
  };

  const enter = async () => {
    try {
      onEnter(await answer(() => gateway.POST("/auth/sign-in", { body: { name, password, code } })));
    } catch (error) {
      if (!(error instanceof Refusal) || !error.wantsCode) throw error;
      setStep("code");
    }
  };

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setSaid("");
    void run(async () => {
      if (step === "sign-up") await answer(() => gateway.POST("/auth/sign-up", { body: { name, password } }));
      if (step !== "first") return enter();
      await answer(() => gateway.POST("/auth/first-password", { body: { token: token.trim(), password } }));
      go("sign-in");
      setSaid("Your password is set. Sign in with it.");
    });
  };

  return (
    <main className="door">
      <form onSubmit={submit} aria-labelledby="door-title">
        <p className="brand">
          <Bell />
          openbell
        </p>
        <h1 id="door-title">{TITLES[step]}</h1>
        <p className="said" role="status">
          {step === "code" ? `Your password is right, ${name}. Now the code that your authenticator shows.` : said}
        </p>
        {(step === "sign-in" || step === "sign-up") && (
          <Field
            key="name"
            label="Name"
            autoFocus
            required
            maxLength={64}
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            value={name}
            onText={setName}
          />
        )}
        {step === "first" && (
          <Field
            key="token"
            label="One-time token"
            hint="The one that you were given. It works once, within a day."
            autoFocus
            required
            maxLength={200}
            autoComplete="off"
            spellCheck={false}
            value={token}
            onText={setToken}
          />
        )}
        {step === "code" ? (
          <Code key="code" autoFocus inputMode="text" hint="Six digits, or one of your recovery codes." value={code} onText={setCode} />
        ) : (
          <Password
            key={step}
            label="Password"
            hint={step === "sign-in" ? undefined : NEW_PASSWORD}
            autoComplete={step === "sign-in" ? "current-password" : "new-password"}
            value={password}
            onText={setPassword}
          />
        )}
        <Failure>{failure}</Failure>
        <button type="submit" className="primary" disabled={busy}>
          {busy ? "One moment…" : step === "code" ? "Confirm" : step === "first" ? "Set the password" : TITLES[step]}
        </button>
        <p className="other">
          {step === "sign-in" ? (
            <>
              {signUp && (
                <button type="button" className="link" onClick={() => go("sign-up")}>
                  Make an account
                </button>
              )}
              <button type="button" className="link" onClick={() => go("first")}>
                I have a one-time token
              </button>
            </>
          ) : (
            <button type="button" className="link" onClick={() => go("sign-in")}>
              Back to signing in
            </button>
          )}
        </p>
      </form>
    </main>
  );
}
