// What the stream does not bring is asked for again and again, while it is looked at.

import { useEffect, useState } from "react";

const AGAIN_MS = 5_000;

/** The latest answer to a question, and why there is no newer one. Another `ask` asks anew at once. */
export function usePolled<T>(ask: (signal: AbortSignal) => Promise<T>): { found: T | null; failure: string } {
  const [found, setFound] = useState<T | null>(null);
  const [failure, setFailure] = useState("");

  useEffect(() => {
    const abort = new AbortController();
    let timer: number | undefined;
    const turn = async () => {
      try {
        // A page that nobody looks at asks nothing, so that its session ends in time.
        if (document.visibilityState === "visible") setFound(await ask(abort.signal));
        setFailure("");
      } catch (error) {
        if (!abort.signal.aborted) setFailure((error as Error).message);
      }
      if (!abort.signal.aborted) timer = window.setTimeout(turn, AGAIN_MS);
    };
    void turn();
    return () => {
      abort.abort();
      window.clearTimeout(timer);
    };
  }, [ask]);
  return { found, failure };
}
