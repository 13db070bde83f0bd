/* Runs a lesson's Python beside the page, so that the page stays alive. Messages in: {run: id, code},
   {base: address of the folder that docs/browser.py filled}. Out: {state}, {id, text}, {id, picture},
   {id, done, failed}. */
"use strict";
let ready = null;

const SETUP = `
import os
os.environ["MPLBACKEND"] = "agg"
import ast, base64, io, sys, traceback, warnings
import matplotlib.pyplot as plt

plt.show = lambda *args, **kwargs: None  # pictures are taken at the end of each cell
scope = {"__name__": "__main__"}

def run_cell(code):
    """Run one cell; the value of a last expression is printed. Returns what went wrong, or ''."""
    try:
        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<cell>", "exec"), scope)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), scope)
            if value is not None:
                print(value)
    except BaseException as error:
        shown = error.__traceback__.tb_next if error.__traceback__ else None
        return "".join(traceback.format_exception(type(error), error, shown))
    return ""

def pictures():
    """The open figures as PNG, which are closed."""
    found = []
    for number in plt.get_fignums():
        data = io.BytesIO()
        plt.figure(number).savefig(data, format="png", dpi=120)
        found.append(base64.b64encode(data.getvalue()).decode())
    plt.close("all")
    return found
`;

async function start(base) {
  postMessage({ state: "Python is on its way (about 50 MB, once)" });
  importScripts(new URL("pyodide.js", base).href);
  const python = await loadPyodide({ indexURL: base });
  postMessage({ state: "NumPy, SciPy, scikit-learn, Matplotlib and xpnn are on their way" });
  const { packages, wheels } = await (await fetch(new URL("packages.json", base))).json();
  const quiet = { messageCallback: () => {}, checkIntegrity: true };
  await python.loadPackage(packages, quiet);
  await python.loadPackage(wheels.map((name) => new URL(name, base).href), quiet);
  postMessage({ state: "Python starts" });
  await python.runPythonAsync(SETUP);
  postMessage({ state: "ready" });
  return python;
}

async function run(id, code) {
  const python = await ready;
  const say = { batched: (text) => postMessage({ id, text: text + "\n" }) };
  python.setStdout(say);
  python.setStderr(say);
  const failed = python.globals.get("run_cell")(code);
  python.runPython("sys.stdout.flush(); sys.stderr.flush()");
  if (failed) postMessage({ id, text: failed });
  const taken = python.globals.get("pictures")();
  for (const picture of taken.toJs()) postMessage({ id, picture });
  taken.destroy();
  postMessage({ id, done: true, failed: Boolean(failed) });
}

onmessage = ({ data }) => {
  if (data.base) {
    ready = start(data.base);
    ready.catch((error) => postMessage({ state: "failed", why: String(error) }));
  } else {
    run(data.run, data.code).catch((error) => {
      postMessage({ id: data.run, text: String(error), done: true, failed: true });
    });
  }
};
