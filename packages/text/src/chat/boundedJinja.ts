/** @file Jinja templates of strangers, whose work is counted: one that is made for it would never end, or fill the memory. */

import * as jinja from '@huggingface/jinja';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** Largest template; published ones have up to 20 kB. */
const mostCharacters = 200_000;
/** Longest text or list that a template may make. */
const longestValue = 20_000_000;
/** Steps, with a step for each item that is gone through and for so many characters on the way: some seconds at most. */
const mostSteps = 500_000;
const charactersPerStep = 2000;
/** Numbers of a `range`. */
const longestRange = 100_000;

/** A part of a template. */
interface Statement {
  readonly type: string;
  readonly iterable?: Statement;
  readonly lhs?: Statement;
  readonly operand?: Statement;
  readonly filter?: { readonly callee?: { readonly value: unknown }; readonly args?: readonly Statement[] };
}

/** A value of a template, as the library holds it. */
interface RuntimeValue {
  readonly value: unknown;
  toString(): string;
}

/** The variables that a part of a template knows. */
interface Scope {
  set(name: string, value: unknown): RuntimeValue;
}

/** The parts of the library that are used here, whose own types TypeScript cannot resolve. */
const { Environment, Interpreter, parse, tokenize } = jinja as unknown as {
  readonly tokenize: (source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }) => readonly unknown[];
  readonly parse: (tokens: readonly unknown[]) => Statement;
  readonly Environment: new () => Scope;
  readonly Interpreter: new (scope: Scope) => {
    run(program: Statement): RuntimeValue;
    evaluate(statement: Statement | undefined, scope: Scope): RuntimeValue | undefined;
  };
};

/** Python's `%` on texts, as far as templates use it. */
function formatted(text: string, values: readonly (RuntimeValue | undefined)[]): string {
  let next = 0;
  const filled = text.replaceAll(/%(.?)/gs, (_, kind: string) => {
    if (kind === '%') return '%';
    const value = values[next++];
    if (value !== undefined && (kind === 's' || (kind === 'd' && typeof value.value === 'number')))
      return value.toString();
    throw new Error(`the filter format cannot fill in "%${kind}"`);
  });
  if (next === values.length) return filled;
  throw new Error('not all arguments of the filter format are filled in');
}

/** Counts what is computed, and knows `{{ text | format(value, …) }}`, which the library does not. */
class BoundedInterpreter extends Interpreter {
  #steps = 0;
  /** What loops go through. */
  readonly #iterables = new WeakSet<Statement>();

  override evaluate(statement: Statement | undefined, scope: Scope): RuntimeValue | undefined {
    this.#count(1);
    const { type, iterable, filter } = statement ?? {};
    // A loop with a condition has it in front of the list.
    if (iterable) this.#iterables.add(iterable.lhs ?? iterable);
    const isFormat = type === 'FilterExpression' && filter?.callee?.value === 'format';
    const made = isFormat ? this.#format(statement!, scope) : super.evaluate(statement, scope);
    const value = made?.value;
    const length = typeof value === 'string' || Array.isArray(value) ? value.length : 0;
    if (length > longestValue) throw new Error(`it makes a text or list that is longer than ${longestValue}`);
    this.#count(statement && this.#iterables.has(statement) ? length : length / charactersPerStep);
    return made;
  }

  #count(steps: number): void {
    this.#steps += steps;
    if (this.#steps > mostSteps) throw new Error('it does not come to an end in reasonable time');
  }

  #format({ operand, filter }: Statement, scope: Scope): RuntimeValue {
    const text = this.evaluate(operand, scope);
    const values = filter!.args!.map((each) => this.evaluate(each, scope));
    return new Environment().set('text', formatted(String(text?.value), values));
  }
}

/** What a template raises by itself, such as that turns are in the wrong order: a fault of the conversation. */
export class RaisedByTemplate extends Error {}

/** Python's `range`. */
function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (length <= longestRange) return Array.from({ length }, (_, i) => from + i * step);
  throw new Error(`it makes a range of ${length} numbers`);
}

const months = 'January February March April May June July August September October November December'.split(' ');

/** The time now, as far as templates ask for it; in English, on whatever machine. */
function strftimeNow(format: string): string {
  const now = new Date();
  const two = (value: number): string => String(value).padStart(2, '0');
  const month = months[now.getMonth()]!;
  const parts: Record<string, string> = {
    Y: String(now.getFullYear()),
    m: two(now.getMonth() + 1),
    d: two(now.getDate()),
    B: month,
    b: month.slice(0, 3),
    H: two(now.getHours()),
    M: two(now.getMinutes()),
    '%': '%',
  };
  return format.replaceAll(/%(.)/g, (whole, part: string) => parts[part] ?? whole);
}

const globals = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range,
  strftime_now: strftimeNow,
  raise_exception: (message: unknown) => {
    throw new RaisedByTemplate(String(message));
  },
};

/**
 * A template, ready to be rendered with variables; blocks are trimmed as transformers trims them.
 *
 * @param path of the file that it is from, for messages
 * @returns throws OnnxLoraError `CONFIG_INVALID` where the template fails or does too much, and {@link RaisedByTemplate}
 * @throws OnnxLoraError `CONFIG_INVALID` for a template that is too large, or none
 */
export function compileJinja(source: string, path: string): (variables: Readonly<Record<string, unknown>>) => string {
  const refused = (cause: unknown): unknown => {
    if (cause instanceof RaisedByTemplate) return cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new OnnxLoraError(
      'CONFIG_INVALID',
      `The chat template of "${path}" cannot be used: ${reason}. Copy it again from where the model was published, or put a template of your own beside it as chat_template.jinja.`,
      { cause },
    );
  };
  // The library takes time with the square of a run of blanks.
  if (source.length > mostCharacters || /\s{2000}/.test(source))
    throw refused(new Error(`it has more than ${mostCharacters} characters, or 2000 blanks in a row`));
  try {
    const program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    return (variables) => {
      try {
        const environment = new Environment();
        for (const [name, value] of Object.entries({ ...globals, ...variables })) environment.set(name, value);
        return String(new BoundedInterpreter(environment).run(program).value);
      } catch (cause) {
        throw refused(cause);
      }
    };
  } catch (cause) {
    throw refused(cause);
  }
}
