// The one way to the gateway. What it takes and answers is typed by its OpenAPI document. The page is served by the gateway, so its address
// is our own; `next dev` serves the page from elsewhere and has to be told.

import createClient from "openapi-fetch";
import type { components, paths } from "./openapi";

const BASE =
  process.env.NODE_ENV === "development" ? (process.env.NEXT_PUBLIC_API ?? "http://127.0.0.1:8081") : "";
const CODE_NEEDED = "/problems/code-needed";
const STEP_UP = "/problems/step-up";

export const gateway = createClient<paths>({
  baseUrl: BASE,
  cache: "no-store",
  credentials: BASE ? "include" : "same-origin",
  // A form on a hostile page cannot send this header, so the gateway can tell our commands from forged ones.
  headers: { "X-Requested-With": "openbell" },
});

export function streamAddress(): string {
  const address = new URL("/ws", BASE || window.location.href);
  address.protocol = address.protocol.replace("http", "ws");
  return address.href;
}

/** What the platform did not do, in words that can be shown to a person. Status 0: it did not answer. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }

  /** The code of the second factor is missing. */
  get wantsCode(): boolean {
    return this.kind === CODE_NEEDED;
  }

  /** Nobody knows whether it was done: asking again has to be harmless. */
  get isUncertain(): boolean {
    return this.status === 0 || this.status >= 500;
  }
}

/** What the page does when the platform asks for something of the person. It is set by who can show a question. */
export const person = {
  /** Proves again who it is; false when the person would rather not. */
  prove: async (): Promise<boolean> => false,
  /** The session has ended. */
  signedOut: (): void => undefined,
};

interface Reply<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer to a call of the gateway; throws a Refusal. Asked to prove who it is, the person is, and the call is made once more. */
export async function answer<T>(call: () => Promise<Reply<T>>): Promise<T> {
  try {
    return await answerOnce(call);
  } catch (error) {
    if (!(error instanceof Refusal) || error.kind !== STEP_UP || !(await person.prove())) throw error;
    return answerOnce(call);
  }
}

async function answerOnce<T>(call: () => Promise<Reply<T>>): Promise<T> {
  let reply: Reply<T>;
  try {
    reply = await call();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refusal(0, "", "The platform did not answer.");
  }
  if (reply.response.ok) return reply.data as T;
  const problem = reply.error as Partial<components["schemas"]["Problem"]> | undefined;
  const { status } = reply.response;
  const refusal = new Refusal(
    status,
    problem?.type ?? "",
    problem?.detail ?? `The platform answered with an error (${status}).`,
  );
  if (status === 401 && !refusal.wantsCode) person.signedOut();
  throw refusal;
}
