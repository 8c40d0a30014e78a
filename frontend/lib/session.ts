// Who is signed in. On a platform without accounts everybody is the user `local`, and nothing of signing in is shown.

import { createContext, useCallback, useContext, useEffect, useState } from "react";
import { answer, gateway, person } from "./gateway";
import type { Permission, Who } from "./types";

const AGAIN_MS = 2_000;

export type Session =
  /** `failed`: the platform has not answered so far. */
  | { phase: "asking"; failed: boolean }
  | { phase: "out"; signUp: boolean }
  | { phase: "in"; who: Who };

export interface Sessions {
  session: Session;
  /** Asks the platform anew who is signed in. */
  check: () => Promise<void>;
  enter: (who: Who) => void;
  leave: () => Promise<void>;
}

export function useSession(): Sessions {
  const [session, setSession] = useState<Session>({ phase: "asking", failed: false });

  const check = useCallback(async () => {
    const root = await answer(() => gateway.GET("/api"));
    if (!root.signed_in) {
      setSession({ phase: "out", signUp: root.sign_up });
      return;
    }
    setSession({ phase: "in", who: await answer(() => gateway.GET("/auth/session")) });
  }, []);

  useEffect(() => {
    let timer: number | undefined;
    const ask = () =>
      check().catch(() => {
        setSession((before) => (before.phase === "asking" ? { phase: "asking", failed: true } : before));
        timer = window.setTimeout(ask, AGAIN_MS);
      });
    void ask();
    // The door says whether anybody may sign up, so it is asked for where the session has ended.
    person.signedOut = () => void check().catch(() => undefined);
    return () => window.clearTimeout(timer);
  }, [check]);

  const enter = useCallback((who: Who) => setSession({ phase: "in", who }), []);
  const leave = useCallback(async () => {
    await answer(() => gateway.POST("/auth/sign-out"));
    await check();
  }, [check]);
  return { session, check, enter, leave };
}

export const WhoContext = createContext<Who | null>(null);

/** Whether who looks at the page may do something; a check of the platform's stands behind each button all the same. */
export function useMay(permission: Permission): boolean {
  return useContext(WhoContext)?.permissions.includes(permission) ?? false;
}

/** Runs something that may fail, one at a time: whether it runs, and what went wrong last. */
export function useDoing(): { busy: boolean; failure: string; run: (what: () => Promise<unknown>) => Promise<boolean>; clear: () => void } {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  const run = useCallback(async (what: () => Promise<unknown>) => {
    setBusy(true);
    setFailure("");
    try {
      await what();
      return true;
    } catch (error) {
      setFailure((error as Error).message);
      return false;
    } finally {
      setBusy(false);
    }
  }, []);
  const clear = useCallback(() => setFailure(""), []);
  return { busy, failure, run, clear };
}
