// One WebSocket that stays subscribed: it reconnects with growing, jittered pauses, and asks for a new snapshot
// when a message is missing. Messages are handed over in batches, so that a burst costs one render.

import type { Message } from "./types";

const CHANNELS = [
  "prices",
  "candles",
  "orders",
  "fills",
  "signals",
  "alerts",
  "portfolio",
  "equity",
  "strategies",
  "services",
];
const BATCH_MS = 80;
const PAUSE_FIRST_MS = 500;
const PAUSE_MAX_MS = 15_000;
const SILENCE_MAX_MS = 20_000;
const RESUBSCRIBE_REST_MS = 1_000;
const SNAPSHOT_WAIT_MS = 5_000;

export type Link = { phase: "connecting" } | { phase: "live" } | { phase: "waiting"; retryAt: number };

export interface Stream {
  /** Reconnects now instead of after the pause. */
  retry(): void;
  /** Hands over what has arrived, without waiting for the batch to be due. */
  flush(): void;
  close(): void;
}

/** `before` is asked ahead of each try to come back: whoever has signed out meanwhile is not let in, and need not try. */
export function openStream(
  address: string,
  before: () => Promise<void>,
  onMessages: (messages: Message[]) => void,
  onLink: (link: Link) => void,
): Stream {
  let socket: WebSocket | null = null;
  let queue: Message[] = [];
  let last = -1; // the number of the latest message
  let subscribed = false; // the snapshot of the latest subscription has arrived
  let askedAt = 0;
  let failures = 0;
  let closed = false;
  let flushing: number | undefined;
  let watching: number | undefined;
  let retrying: number | undefined;

  function connect(): void {
    window.clearTimeout(retrying);
    onLink({ phase: "connecting" });
    socket = new WebSocket(address);
    socket.onopen = subscribe;
    socket.onmessage = (event) => receive(String(event.data));
    socket.onclose = wait;
    watch(SNAPSHOT_WAIT_MS);
  }

  function subscribe(): void {
    subscribed = false;
    askedAt = Date.now();
    socket?.send(JSON.stringify({ op: "subscribe", channels: CHANNELS }));
    watch(SNAPSHOT_WAIT_MS);
  }

  function receive(text: string): void {
    const message = JSON.parse(text) as Message;
    if (message.channel === "snapshot") {
      subscribed = true;
      failures = 0;
      queue = [];
      onLink({ phase: "live" });
    } else if (!subscribed) {
      return; // belongs to the subscription that is being replaced
    } else if (message.prev !== last) {
      subscribed = false; // something is missing
      window.clearTimeout(watching);
      watching = window.setTimeout(subscribe, Math.max(0, askedAt + RESUBSCRIBE_REST_MS - Date.now()));
      return;
    }
    last = message.seq;
    queue.push(message);
    flushing ??= window.setTimeout(flush, BATCH_MS);
    watch(SILENCE_MAX_MS);
  }

  function flush(): void {
    window.clearTimeout(flushing);
    flushing = undefined;
    const batch = queue;
    queue = [];
    if (batch.length > 0) onMessages(batch);
  }

  /** Gives the gateway this long to say something: then a live line subscribes anew, a dead one is dropped. */
  function watch(patience: number): void {
    window.clearTimeout(watching);
    watching = window.setTimeout(() => (subscribed ? subscribe() : drop()), patience);
  }

  function drop(): void {
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    wait();
  }

  function wait(): void {
    window.clearTimeout(watching);
    socket = null;
    subscribed = false;
    const pause = Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** failures++) * (0.5 + Math.random() / 2);
    onLink({ phase: "waiting", retryAt: Date.now() + pause });
    retrying = window.setTimeout(comeBack, pause);
  }

  function comeBack(): void {
    before().then(
      () => {
        if (!closed && !socket) connect();
      },
      () => {
        if (!closed && !socket) wait();
      },
    );
  }

  function retry(): void {
    if (socket) return;
    window.clearTimeout(retrying);
    failures = 0;
    comeBack();
  }

  window.addEventListener("online", retry);
  connect();
  return {
    retry,
    flush,
    close() {
      closed = true;
      window.removeEventListener("online", retry);
      for (const timer of [flushing, watching, retrying]) window.clearTimeout(timer);
      if (!socket) return;
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
      socket = null;
    },
  };
}
