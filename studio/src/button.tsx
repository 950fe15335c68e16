/* A button that is off, but keeps the focus: browsers take it from what is disabled, and the keys that follow are lost. */

import type { ComponentChildren } from "preact";

interface Props {
  /** True where it cannot be pressed now. */
  off: boolean;
  press?: () => void;
  type?: "button" | "submit";
  children?: ComponentChildren;
  class?: string;
  title?: string;
  "aria-label"?: string;
  "aria-current"?: "step" | undefined;
  "aria-pressed"?: boolean;
  "data-state"?: number;
  onFocus?: () => void;
  onBlur?: () => void;
  onPointerEnter?: () => void;
  onPointerLeave?: () => void;
}

export function Button({ off, press, type = "button", ...rest }: Props) {
  return (
    <button
      type={type}
      aria-disabled={off ? true : undefined}
      onClick={(event: MouseEvent) => {
        if (off) event.preventDefault();
        else press?.();
      }}
      {...rest}
    />
  );
}
