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

  // A context is an object with one property a column: its token, and its own name where that differs.
  function contextMaker(tokens, names) {
    const sets = tokens.map((token, index) => `this[${stringify(token)}] = row[${index}];`).join("\n");
    const Context = new Function("row", sets);
    Context.prototype = Object.create(null);
    names.forEach((name, index) => {
      if (name !== tokens[index]) {
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

  function fault(error) {
    let said = "";
    let stack = "";
    try {
      if (isObject(error) && refusals.has(error)) {
        return stringify({ line, place, said: error.refused, refused: true });
      }
      said = error instanceof Error ? text(error.name) + ": " + text(error.message) : "threw " + text(error);
      // Where not even an error can be made any more, the engine throws null.
      if (error === null) said += ", as also happens when memory runs out";
      stack = text(error.stack ?? "");
    } catch (again) {
      said = said || "threw something that cannot be shown";
    }
    return stringify({ line, place, said: said.slice(0, 400).toWellFormed(), stack: stack.slice(0, 2000) });
  }

  // `lines` describes each line of the plan: its restriction ("" for none) and the bodies of its calculations.
  globalThis.prepare = function (setup) {
    const { tokens, names, lines, most } = parse(setup);
    const Context = contextMaker(tokens, names);
    const compiled = lines.map((spec) => ({
      restriction: spec.restriction ? new Function('"use strict";\n' + spec.restriction) : null,
      calculations: spec.calculations.map((body) => new Function('"use strict";\n' + body)),
    }));
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

    function answer(number) {
      try {
        const document = documents[number];
        const answers = [];
        for (line = 0; line < document.length; line++) {
          const records = document[line];
          const given = [];
          for (let index = 0; index < records.length; index++) given[index] = record(compiled[line], records[index]);
          answers[line] = given;
        }
        const said = stringify(answers);
        return said.length > most ? refuse("returned more than " + most + " characters") : said;
      } catch (error) {
        return fault(error);
      }
    }

    // One door: a number asks for that document's answer, a text brings the next batch, nothing asks where it stands.
    return function (asked) {
      if (typeof asked === "number") return answer(asked);
      if (typeof asked === "string") documents = parse(asked);
      return stringify({ line, place });
    };
  };
})();
