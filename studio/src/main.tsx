/* The two homes of the studio: a page with an element #edgewise-studio, and a widget, for which anywidget calls `render`. */

import { render } from "preact";
import { Root } from "./root";
import { socketTransport, widgetTransport, type WidgetModel } from "./transports";

const place = document.getElementById("edgewise-studio");
if (place) render(<Root start={socketTransport} keysFrom={window} />, place);

export default {
  /** Draw the studio into an output cell, in a shadow tree, so that neither style reaches the other. */
  render({ model, el }: { model: WidgetModel; el: HTMLElement }): () => void {
    const shadow = el.attachShadow({ mode: "open" });
    const style = document.createElement("style");
    style.textContent = String(model.get("style_sheet")).replaceAll(":root", ":host");
    const root = document.createElement("div");
    root.className = "in-notebook";
    shadow.append(style, root);
    let stop = () => {};
    render(<Root start={widgetTransport(model, (end) => (stop = end))} keysFrom={root} />, root);
    return () => {
      render(null, root);
      stop();
    };
  },
};
