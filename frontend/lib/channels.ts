// Where somebody is told of what happens: the kinds of channel that have a form of their own, and the addresses made of them.

export interface Part {
  name: string;
  label: string;
  secret?: boolean;
  type?: string;
  hint?: string;
}

export interface Kind {
  title: string;
  parts: Part[];
  /** The address that the platform takes, with its secrets. */
  address: (given: Record<string, string>) => string;
}

const web = (text: string, scheme: string) => text.trim().replace(/^http(s?):\/\//, (_, s: string) => `${scheme}${s}://`);

export const KINDS: Record<string, Kind> = {
  telegram: {
    title: "Telegram",
    parts: [
      { name: "token", label: "Token of the bot", secret: true, hint: "From @BotFather." },
      { name: "chat", label: "Chat id", hint: "Write to the bot first, or put it into the group. A group's id is negative." },
    ],
    address: ({ token = "", chat = "" }) => `tgram://${token.trim()}/${encodeURIComponent(chat.trim())}`,
  },
  discord: {
    title: "Discord",
    parts: [{ name: "url", label: "URL of the webhook", secret: true, hint: "Channel settings, integrations, webhooks." }],
    address: ({ url = "" }) => url.trim(),
  },
  email: {
    title: "E-mail",
    parts: [
      { name: "to", label: "To", type: "email" },
      { name: "from", label: "Address that sends", type: "email" },
      { name: "server", label: "Mail server", hint: "Such as smtp.example.com; it has to speak TLS." },
      { name: "password", label: "Password there", secret: true },
    ],
    address: ({ to = "", from = "", server = "", password = "" }) => {
      const at = from.trim().lastIndexOf("@");
      const [user, domain] = [from.trim().slice(0, at), from.trim().slice(at + 1)];
      const query = new URLSearchParams({ smtp: server.trim(), to: to.trim() });
      return `mailtos://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${domain}?${query}`;
    },
  },
  webhook: {
    title: "Webhook",
    parts: [{ name: "url", label: "URL", type: "url", hint: "It is sent a POST of JSON, with the text in its field message." }],
    address: ({ url = "" }) => web(url, "json"),
  },
  other: {
    title: "Another",
    parts: [{ name: "url", label: "Address", secret: true, hint: "An address of apprise's, such as ntfys://ntfy.sh/topic." }],
    address: ({ url = "" }) => url.trim(),
  },
};

export const EVENTS = [
  ["fill", "fills"],
  ["rejection", "orders refused by the venue"],
  ["risk", "risk checks"],
  ["kill", "strategies killed"],
  ["disconnect", "services that fail"],
  ["alert", "alerts"],
  ["channel", "other channels that fail"],
] as const;

export const SEVERITIES = [
  ["info", "everything"],
  ["warning", "warnings and worse"],
  ["critical", "the critical only"],
] as const;
