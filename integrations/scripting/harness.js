// Runs in the script child, before any script of a designer, in a context that no other run shares.
// Every intrinsic is frozen and the global object takes no more properties, so nothing that a script does outlives its
// document. `prepare` takes the scripts and gives the one function that answers, as JSON text.
(function () {
  "use strict";

  for (const name of ["Atomics", "SharedArrayBuffer", "WeakRef", "FinalizationRegistry", "queueMicrotask", "performance"]) {
    delete globalThis[name];
  }

  const { stringify, parse } = JSON;
  const { isFinite } = Number;
  const text = String;
  const LEVELS = 100;
  const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

  function freezeAll(roots) {
    const seen = new Set([globalThis]);
    const waiting = roots.slice();
    while (waiting.length) {
      const item = waiting.pop();
      if (!isObject(item) || seen.has(item)) continue;
      seen.add(item);
      waiting.push(Object.getPrototypeOf(item));
      const descriptors = Object.getOwnPropertyDescriptors(item);
      for (const key of Reflect.ownKeys(descriptors)) {
        waiting.push(descriptors[key].value, descriptors[key].get, descriptors[key].set);
      }
      Object.freeze(item);
    }
  }

  function freezeWorld() {
    const hidden = [
      Object.getPrototypeOf(function* () {}),
      Object.getPrototypeOf(async function () {}),
      Object.getPrototypeOf(async function* () {}),
      Object.getPrototypeOf([][Symbol.iterator]()),
      Object.getPrototypeOf(""[Symbol.iterator]()),
      Object.getPrototypeOf(new Map()[Symbol.iterator]()),
      Object.getPrototypeOf(new Set()[Symbol.iterator]()),
      Object.getPrototypeOf("a".matchAll(/a/g)),
      Object.getPrototypeOf([].values().map((item) => item)),
      Object.getPrototypeOf(Iterator.from({ next() {} })),
      (function () {
        return Object.getOwnPropertyDescriptor(arguments, "callee").get;
      })(),
    ];
    if (Iterator.concat) hidden.push(Object.getPrototypeOf(Iterator.concat()));
    const names = Reflect.ownKeys(globalThis);
    freezeAll(hidden.concat(names.map((name) => globalThis[name])));
    for (const name of names) {
      Object.defineProperty(globalThis, name, { configurable: false, writable: false });
    }
    Object.preventExtensions(globalThis);
  }

  // A context is an object with one property a column: its token, and its own name where that differs. What `shared`
  // describes (the run's variables, the facts of the run, the document's rows) is the same for every context.
  function contextMaker(tokens, names, shared) {
    const sets = tokens.map((token, index) => `this[${stringify(token)}] = row[${index}];`).join("\n");
    const Context = new Function("row", sets);
    Context.prototype = Object.create(null, shared);
    names.forEach((name, index) => {
      if (name !== tokens[index] && !(name in shared)) {
        Object.defineProperty(Context.prototype, name, {
          get() {
            return this[tokens[index]];
          },
        });
      }
    });
    Object.freeze(Context.prototype);
    return Context;
  }

  // What the harness itself refuses; a script cannot throw one of these.
  const refusals = new WeakSet();

  function refuse(message) {
    const refusal = { refused: message };
    refusals.add(refusal);
    throw refusal;
  }

  function verdict(answer) {
    if (answer === true || answer === false) return answer;
    if (answer === undefined) refuse("gave no answer: it ends without a return");
    refuse("must return true or false, and it returned " + kind(answer));
  }

  function plain(answer) {
    switch (typeof answer) {
      case "string":
        return sound(answer, 0);
      case "boolean":
        return answer;
      case "number":
        return isFinite(answer) ? answer : refuse("returned " + text(answer) + ", which is no value");
      case "bigint":
        return text(answer);
      case "undefined":
        return refuse("gave no answer: it ends without a return");
      case "object":
        if (answer === null) return null;
        if (answer instanceof Promise) return refuse("returned a promise: a script answers at once");
        return sound(parse(stringify(answer) ?? "null"), 0);
      default:
        return refuse("must return a value, and it returned " + kind(answer));
    }
  }

  // Only what every system can keep crosses: whole characters, and no more levels than anyone could mean.
  function sound(value, level) {
    if (typeof value === "string") {
      if (!value.isWellFormed()) refuse("returned half of a character, which no system can keep");
    } else if (isObject(value)) {
      if (level === LEVELS) refuse("returned a value of more than " + LEVELS + " levels");
      for (const key of Reflect.ownKeys(value)) {
        sound(key, level);
        sound(value[key], level + 1);
      }
    }
    return value;
  }

  function kind(answer) {
    if (answer === null) return "null";
    return typeof answer === "string" ? stringify(answer.slice(0, 40)) : "a " + typeof answer;
  }

  let line = 0;
  let place = -1;
  let task = -1;

  // The run's variables. What a document or a task writes stands only once it has ended without a fault.
  let variables = Object.create(null);
  let before = null;
  let written = null;

  function begin() {
    before = null;
    written = null;
  }

  function undo() {
    if (before !== null) variables = before;
    begin();
  }

  function write(name, value) {
    if (before === null) {
      before = Object.assign(Object.create(null), variables);
      written = Object.create(null);
    }
    if (value === undefined) refuse("wrote nothing into " + name + ": give it a value, or an empty text");
    variables[name] = written[name] = frozen(plain(value));
  }

  // A list or an object in a variable changes only by an assignment: a change inside it would be noticed by nobody.
  function frozen(value) {
    if (isObject(value)) {
      for (const key of Reflect.ownKeys(value)) frozen(value[key]);
      Object.freeze(value);
    }
    return value;
  }

  function variable(name) {
    return {
      get() {
        return variables[name];
      },
      set(value) {
        write(name, value);
      },
    };
  }

  // The facts of the run can be looked at and not written. What is only counted while documents are sent is refused to
  // scripts that are asked ahead of that; lists of keys come only to tasks whose scripts write their names.
  function factsOf(known, missing, because) {
    const facts = {};
    const unwritable = (name) => () => refuse("wrote into this.run." + name + ", which the run alone says: write a variable");
    for (const name of Object.keys(known)) {
      Object.defineProperty(facts, name, { enumerable: true, get: () => known[name], set: unwritable(name) });
    }
    for (const name of missing) {
      if (name in facts) continue;
      const get = () => refuse("asked for this.run." + name + because);
      Object.defineProperty(facts, name, { get, set: unwritable(name) });
    }
    return Object.freeze(facts);
  }

  function fault(error) {
    let said = "";
    let stack = "";
    try {
      undo();
      if (isObject(error) && refusals.has(error)) {
        return stringify({ line, place, task, said: error.refused, refused: true });
      }
      said = error instanceof Error ? text(error.name) + ": " + text(error.message) : "threw " + text(error);
      // Where not even an error can be made any more, the engine throws null.
      if (error === null) said += ", as also happens when memory runs out";
      stack = text(error.stack ?? "");
    } catch (again) {
      said = said || "threw something that cannot be shown";
    }
    return stringify({ line, place, task, said: said.slice(0, 400).toWellFormed(), stack: stack.slice(0, 2000) });
  }

  // `lines` describes each line of the plan: its restriction ("" for none) and the bodies of its calculations; `tasks`
  // the condition and the script of each task ("" for none).
  globalThis.prepare = function (setup) {
    const { tokens, names, lines, tasks, variables: named, facts, countable, keys, most } = parse(setup);
    const standing = factsOf(facts, countable, ", which only tasks know: documents are mapped ahead");
    const { isArray } = Array;
    let asked = null;
    const shared = {
      run: {
        get: () => (asked ? asked.run : standing),
        set: () => refuse("wrote into this.run, which the run alone says: write a variable"),
      },
      rows: { get: () => (asked ? asked.rows.map((row) => new Context(row)) : undefined) },
    };
    for (const name of named) shared[name] = variable(name);
    const Context = contextMaker(tokens, names, shared);
    const body = (script) => (script ? new Function('"use strict";\n' + script) : null);
    const compiled = lines.map((spec) => ({
      restriction: body(spec.restriction),
      calculations: spec.calculations.map(body),
    }));
    const steps = tasks.map((spec) => ({ condition: body(spec.condition), script: body(spec.script) }));
    const call = Reflect.apply;
    const nothing = [];
    let documents = [];
    delete globalThis.prepare;
    freezeWorld();

    function record(spec, row) {
      place = -1;
      if (spec.restriction !== null && !verdict(call(spec.restriction, new Context(row), nothing))) return [0];
      const answers = [1];
      for (place = 0; place < spec.calculations.length; place++) {
        answers[place + 1] = plain(call(spec.calculations[place], new Context(row), nothing));
      }
      return answers;
    }

    // The answer, with what was written into the variables on the way.
    function told(answers) {
      const said = stringify(written === null ? answers : { answers, variables: written });
      if (said.length > most) refuse("returned more than " + most + " characters");
      return said;
    }

    function step() {
      try {
        begin();
        task = asked.task;
        return told(verdict(call(steps[task][asked.part], new Context(asked.row), nothing)));
      } catch (error) {
        return fault(error);
      }
    }

    function answer(number) {
      if (asked !== null) return step();
      try {
        begin();
        task = -1;
        const document = documents[number];
        const answers = [];
        for (line = 0; line < document.length; line++) {
          const records = document[line];
          const given = [];
          for (let index = 0; index < records.length; index++) given[index] = record(compiled[line], records[index]);
          answers[line] = given;
        }
        return told(answers);
      } catch (error) {
        return fault(error);
      }
    }

    // What a text brings: a batch of documents, the run's variables, or a task to do.
    function take(given) {
      documents = [];
      asked = null;
      if (isArray(given)) documents = given;
      else if (given.variables) Object.assign(variables, frozen(given.variables));
      else asked = { ...given, run: factsOf(frozen(given.run), keys, " without writing that name: write it out") };
    }

    // One door: a number asks for that document's answer, a text brings something, nothing asks where it was stopped.
    return function (said) {
      if (typeof said === "number") return answer(said);
      if (typeof said === "string") take(parse(said));
      else undo();
      return stringify({ line, place, task });
    };
  };
})();
