import { Component, type ReactNode } from "react";
import { Empty } from "./Panel";

interface Properties {
  /** What is drawn inside, as a person would call it. */
  of: string;
  children: ReactNode;
}

/** Keeps a fault inside one panel: whatever happens to a chart, the kill buttons stay. */
export class Boundary extends Component<Properties, { failed: boolean }> {
  state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  render() {
    if (!this.state.failed) return this.props.children;
    return (
      <section className="panel" role="alert">
        <Empty>
          The {this.props.of} could not be drawn.{" "}
          <button type="button" onClick={() => this.setState({ failed: false })}>
            Draw again
          </button>
        </Empty>
      </section>
    );
  }
}
