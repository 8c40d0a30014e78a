import { useCallback, useEffect, useState } from "react";
import * as format from "@/lib/format";
import { answer, gateway } from "@/lib/gateway";
import { useDoing } from "@/lib/session";
import type { Channel } from "@/lib/types";
import { Failure } from "../Field";
import { ChannelForm } from "./ChannelForm";

const TONES: Record<string, string> = { new: "open", ok: "good", failing: "warn", disabled: "bad" };

/** The channels, and a form for another one, or for the one that is being changed. */
export function Channels() {
  const [channels, setChannels] = useState<Channel[] | null>(null);
  const [editing, setEditing] = useState<Channel | "new" | null>(null);
  const [said, setSaid] = useState<{ id: number; text: string; good: boolean } | null>(null);
  const { busy, failure, run } = useDoing();
  const load = useCallback(async () => setChannels((await answer(() => gateway.GET("/channels"))).channels), []);

  useEffect(() => {
    void run(load);
  }, [load, run]);

  const test = ({ id }: Channel) =>
    run(async () => {
      setSaid({ id, text: "Sending…", good: true });
      try {
        const tried = await answer(() => gateway.POST("/channels/{id}/test", { params: { path: { id } } }));
        const good = tried.answer === "sent";
        setSaid({ id, text: good ? "Sent. Look whether it has come." : `Not sent: ${tried.reason || tried.answer}`, good });
      } catch (error) {
        setSaid(null);
        throw error;
      }
      await load();
    });
  const enable = ({ id, enabled }: Channel) =>
    run(async () => {
      await answer(() => gateway.PATCH("/channels/{id}", { params: { path: { id } }, body: { enabled: !enabled } }));
      await load();
    });
  const remove = ({ id }: Channel) =>
    run(async () => {
      await answer(() => gateway.DELETE("/channels/{id}", { params: { path: { id } } }));
      await load();
    });

  if (editing) {
    const known = editing === "new" ? null : editing;
    return (
      <ChannelForm
        known={known}
        onEnd={(changed) => {
          setEditing(null);
          if (changed) void run(load);
        }}
      />
    );
  }
  return (
    <div className="inside">
      <p className="quiet">You are told of fills, refusals, risk, services that fail and alerts, wherever you want to be.</p>
      <Failure>{failure}</Failure>
      {channels !== null && channels.length > 0 && (
        <ul className="rows channels" aria-label="Your channels">
          {channels.map((channel) => (
            <li key={channel.id} data-channel={channel.name}>
              <div>
                <strong>{channel.name}</strong>{" "}
                <span className={`tag ${channel.enabled ? (TONES[channel.status] ?? "calm") : "calm"}`}>
                  {channel.enabled ? channel.status : "off"}
                </span>
                <small>
                  {channel.kind} <code>{channel.shown}</code>
                </small>
                <small>{settingsOf(channel)}</small>
                {channel.error && channel.status !== "ok" && said?.id !== channel.id && <small className="down">{channel.error}</small>}
                {said?.id === channel.id && (
                  <small className={said.good ? "up" : "down"} role="status">
                    {said.text}
                  </small>
                )}
              </div>
              <div className="actions">
                <button type="button" disabled={busy} aria-label={`Test ${channel.name}`} onClick={() => void test(channel)}>
                  Test
                </button>
                <button type="button" disabled={busy} aria-label={`Change ${channel.name}`} onClick={() => setEditing(channel)}>
                  Change
                </button>
                <button
                  type="button"
                  disabled={busy}
                  aria-label={`Turn ${channel.name} ${channel.enabled ? "off" : "on"}`}
                  onClick={() => void enable(channel)}
                >
                  {channel.enabled ? "Turn off" : "Turn on"}
                </button>
                <button type="button" disabled={busy} aria-label={`Remove ${channel.name}`} onClick={() => void remove(channel)}>
                  Remove
                </button>
              </div>
            </li>
          ))}
        </ul>
      )}
      <p className="buttons">
        <button type="button" className="primary" onClick={() => setEditing("new")}>
          Add a channel
        </button>
      </p>
    </div>
  );
}

function settingsOf({ events, minimum, quiet, zone, house, ts_sent }: Channel): string {
  return [
    events.length ? events.join(", ") : "everything",
    minimum !== "info" && `from ${minimum} on`,
    quiet && `quiet ${quiet} ${zone}`,
    house && "the house too",
    ts_sent !== null && `last sent ${format.moment(ts_sent)}`,
  ]
    .filter(Boolean)
    .join(" · ");
}
