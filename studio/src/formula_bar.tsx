/* The formula, always in sight, with its error and its notations to copy. */

import { useEffect, useState } from "preact/hooks";
import { Button } from "./button";
import { MathML } from "./mathml";
import { digits } from "./numbers";
import type { Answer, Formula, Message, State } from "./types";

interface Props {
  state: State;
  ask: (message: Message) => Promise<Answer>;
  tell: (text: string, bad?: boolean) => void;
}

export function FormulaBar({ state, ask, tell }: Props) {
  const [exact, setExact] = useState<Formula | null>(null);
  const [working, setWorking] = useState(false);
  useEffect(() => setExact(null), [state.current]);
  const formula = exact ?? state.formula;

  async function copy(text: string | undefined, what: string): Promise<void> {
    if (!text) return;
    await navigator.clipboard.writeText(text);
    tell(`copied: ${what}`);
  }

  async function constants(): Promise<void> {
    setWorking(true);
    try {
      setExact((await ask({ do: "constants" })).formula as Formula);
    } catch (error) {
      tell((error as Error).message, true);
    }
    setWorking(false);
  }

  return (
    <section class="formula" aria-label="Formula">
      <div class={`equations${formula.text.length > 220 ? " long" : ""}`} tabIndex={0} role="group" aria-label="Equations">
        <MathML equations={formula.mathml} />
      </div>
      <div class="formula-tools">
        <p class="soft small">
          {formula.curves
            ? `${formula.curves} ${formula.curves === 1 ? "curve" : "curves"} f in it`
            : `as shown: error ${digits(formula.error)}`}
          {formula.misfit && <span class="bad" title={formula.misfit}> · units do not fit</span>}
        </p>
        <div class="buttons" role="group" aria-label="Copy the formula">
          <button type="button" onClick={() => void copy(formula.latex, "LaTeX")}>LaTeX</button>
          <Button off={!formula.python} press={() => void copy(formula.python, "Python")}>Python</Button>
          <Button off={!formula.sympy} press={() => void copy(formula.sympy, "sympy")}>sympy</Button>
          {!formula.curves && (exact
            ? <button type="button" onClick={() => setExact(null)}>as fitted</button>
            : <Button off={working} press={() => void constants()}>{working ? "…" : "name constants"}</Button>)}
        </div>
      </div>
    </section>
  );
}
