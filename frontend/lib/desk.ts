// The alerts of who looks at the page: as they stand, as they came, and what is to be told now.

import { useCallback, useEffect, useRef, useState } from "react";
import { answer, gateway } from "./gateway";
import type { Alert, AlertWanted } from "./types";

const PAGE = 200;
const PAGES_MAX = 50;
const EVENTS_KEPT = 500;
const TOLD_MAX = 4;
const CATCH_UP_MS = 250;

export interface Told {
  key: string;
  alert: Alert;
}

export interface AlertDesk {
  alerts: Alert[];
  /** The times that alerts came, newest first. */
  events: Alert[];
  failure: string;
  told: Told[];
  dismiss: (key: string) => void;
  create: (wanted: AlertWanted, key: string) => Promise<void>;
  setPaused: (id: string, paused: boolean) => Promise<void>;
  remove: (id: string) => Promise<void>;
}

/** `came`: what the stream has brought so far, newest first, and how much in all; `owner` is the name of who looks. */
export function useAlertDesk(generation: number, came: Alert[], count: number, owner: string): AlertDesk {
  const [alerts, setAlerts] = useState<Alert[]>([]);
  const [events, setEvents] = useState<Alert[]>([]);
  const [told, setTold] = useState<Told[]>([]);
  const [failure, setFailure] = useState("");
  const latest = useRef(0); // the last event that was read
  const brought = useRef({ came, count, handled: 0 });
  const pending = useRef<number | undefined>(undefined);

  const load = useCallback(async (): Promise<Set<string>> => {
    const found: Alert[] = [];
    let after = 0;
    for (let page = 0; page < PAGES_MAX; page++) {
      const query = { owner, after, limit: PAGE };
      const rows = (await answer(() => gateway.GET("/alerts", { params: { query } }))).alerts as Alert[];
      found.push(...rows);
      if (rows.length < PAGE) break;
      after = Number(rows.at(-1)!.id);
    }
    setAlerts(found.toReversed());
    setFailure("");
    return new Set(found.map((alert) => alert.id));
  }, [owner]);

  const loadEvents = useCallback(async () => {
    for (let page = 0; page < PAGES_MAX; page++) {
      const query = { owner, after: latest.current, limit: PAGE };
      const reply = await answer(() => gateway.GET("/alerts/events", { params: { query } }));
      if (reply.latest <= latest.current) break; // another run of this was faster
      latest.current = reply.latest;
      setEvents((before) => [...(reply.events as Alert[]).toReversed(), ...before].slice(0, EVENTS_KEPT));
      if (reply.events.length < PAGE) break;
    }
  }, [owner]);

  const catchUp = useCallback(() => {
    pending.current = undefined;
    const { came, count, handled } = brought.current;
    const fresh = came.slice(0, Math.min(count - handled, came.length)).reverse();
    brought.current.handled = count;
    // An administrator hears of everybody's; her own are told.
    Promise.all([load(), loadEvents()]).then(
      ([own]) => {
        const news = fresh.filter((alert) => own.has(alert.id));
        if (news.length === 0) return;
        const rows = news.map((alert) => ({ key: `${alert.id} ${alert.number}`, alert }));
        setTold((before) => [...before.filter((one) => !rows.some((row) => row.key === one.key)), ...rows].slice(-TOLD_MAX));
      },
      (error: Error) => setFailure(error.message),
    );
  }, [load, loadEvents]);

  // Read anew with every snapshot, and with what comes; of a storm of alerts not more often than a person reads.
  useEffect(() => {
    brought.current = { ...brought.current, came, count };
    if (generation > 0) pending.current ??= window.setTimeout(catchUp, CATCH_UP_MS);
  }, [generation, came, count, catchUp]);
  useEffect(() => () => window.clearTimeout(pending.current), []);

  const dismiss = useCallback((key: string) => setTold((before) => before.filter((one) => one.key !== key)), []);
  const create = async (wanted: AlertWanted, key: string) => {
    const params = { header: { "idempotency-key": key } };
    await answer(() => gateway.POST("/alerts", { params, body: wanted }));
    await load();
  };
  const setPaused = async (id: string, paused: boolean) => {
    const params = { path: { id: Number(id) } };
    await answer(() => gateway.PATCH("/alerts/{id}", { params, body: { status: paused ? "paused" : "active" } }));
    await load();
  };
  const remove = async (id: string) => {
    await answer(() => gateway.DELETE("/alerts/{id}", { params: { path: { id: Number(id) } } }));
    await load();
  };
  return { alerts, events, failure, told, dismiss, create, setPaused, remove };
}

/** A key under which asking again does nothing again. */
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
