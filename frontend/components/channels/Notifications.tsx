import { useState } from "react";
import { Dialog } from "../Dialog";
import { Plane } from "../icons";
import { useTabs } from "../Tabs";
import { Channels } from "./Channels";
import { DeliveryLog } from "./DeliveryLog";

/** The button in the header, and the window behind it. */
export function Notifications() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="icon" aria-label="Notifications" title="Notifications" onClick={() => setOpen(true)}>
        <Plane />
      </button>
      {open && <Window onClose={() => setOpen(false)} />}
    </>
  );
}

function Window({ onClose }: { onClose: () => void }) {
  const { row, shown } = useTabs({
    label: "Notifications",
    tabs: [
      { title: "Channels", content: <Channels /> },
      { title: "Log", content: <DeliveryLog /> },
    ],
  });
  return (
    <Dialog name="notifications" title="Notifications" onClose={onClose}>
      {row}
      {shown}
    </Dialog>
  );
}
