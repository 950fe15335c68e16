import { render } from "preact";
import { Studio } from "./studio";

const root = document.getElementById("studio");
if (root) render(<Studio />, root);
