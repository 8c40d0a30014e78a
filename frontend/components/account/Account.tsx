import type { Who } from "@/lib/types";
import { Dialog } from "../Dialog";
import { useTabs } from "../Tabs";
import { Keys } from "./Keys";
import { NewPassword } from "./NewPassword";
import { Profile } from "./Profile";
import { SecondFactor } from "./SecondFactor";
import { Sessions } from "./Sessions";

export const SECTIONS = ["Profile", "Password", "Second factor", "Sessions", "API keys"];

interface Properties {
  who: Who;
  start: number;
  onChange: () => Promise<void>;
  onClose: () => void;
}

/** The window of a person's own account. */
export function Account({ who, start, onChange, onClose }: Properties) {
  const contents = [
    <Profile key="profile" />,
    <NewPassword key="password" />,
    <SecondFactor key="factor" who={who} onChange={onChange} />,
    <Sessions key="sessions" />,
    <Keys key="keys" who={who} />,
  ];
  const tabs = SECTIONS.map((title, index) => ({ title, content: contents[index] }));
  const { row, shown } = useTabs({ label: "Account", tabs, start });
  return (
    <Dialog name="account" title={`Account of ${who.name}`} onClose={onClose}>
      {row}
      {shown}
    </Dialog>
  );
}
