/** @file Renders untrusted Jinja templates within limits of steps and memory. */

import * as jinja from '@huggingface/jinja';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { formatted, pythonText, type RuntimeValue, stripped } from './pythonText.ts';

/** Maximum length of a template; published ones have up to 20 kB. */
const mostCharacters = 200_000;
/** Maximum length of a text or list that a template builds. */
const longestValue = 20_000_000;
/** Maximum steps, a few seconds: a loop item is one step, and so are `charactersPerStep` characters. */
const mostSteps = 500_000;
const charactersPerStep = 2000;
const longestRange = 100_000;

interface Statement {
  readonly type: string;
  readonly value?: unknown;
  readonly iterable?: Statement;
  readonly lhs?: Statement;
  readonly operand?: Statement;
  readonly operator?: Statement;
  readonly left?: Statement;
  readonly right?: Statement;
  readonly filter?: Statement;
  readonly callee?: Statement;
  readonly object?: Statement;
  readonly property?: Statement;
  readonly args?: readonly Statement[];
}

interface Scope {
  set(name: string, value: unknown): RuntimeValue;
}

/** The library's internals, retyped because TypeScript cannot resolve its own types. */
const { Environment, Interpreter, parse, tokenize } = jinja as unknown as {
  readonly tokenize: (source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }) => readonly unknown[];
  readonly parse: (tokens: readonly unknown[]) => Statement;
  readonly Environment: new () => Scope;
  readonly Interpreter: new (scope: Scope) => {
    run(program: Statement): RuntimeValue;
    evaluate(statement: Statement | undefined, scope: Scope): RuntimeValue | undefined;
    evaluateBlock(statements: readonly Statement[], scope: Scope): RuntimeValue;
  };
};

const text = (made: string): RuntimeValue => new Environment().set('text', made);

/** Statements that write nothing and evaluate to null. */
const silent: ReadonlySet<string> = new Set(['Set', 'Macro', 'Comment']);

/** Limits the steps, and writes values as Python does where the library writes them as JavaScript or not at all. */
class BoundedInterpreter extends Interpreter {
  #steps = 0;
  readonly #iterables = new WeakSet<Statement>();

  override evaluate(statement: Statement | undefined, scope: Scope): RuntimeValue | undefined {
    this.#count(1);
    const { iterable } = statement ?? {};
    // A loop with a condition wraps its list.
    if (iterable) this.#iterables.add(iterable.lhs ?? iterable);
    const made = (statement && this.#asPython(statement, scope)) ?? super.evaluate(statement, scope);
    const value = made?.value;
    const length = typeof value === 'string' || Array.isArray(value) ? value.length : 0;
    if (length > longestValue) throw new Error(`it makes a text or list that is longer than ${longestValue}`);
    this.#count(statement && this.#iterables.has(statement) ? length : length / charactersPerStep);
    return made;
  }

  override evaluateBlock(statements: readonly Statement[], scope: Scope): RuntimeValue {
    const written = statements.map((statement) => {
      const made = this.evaluate(statement, scope);
      return silent.has(statement.type) ? '' : pythonText(made);
    });
    return text(written.join(''));
  }

  #count(steps: number): void {
    this.#steps += steps;
    if (this.#steps > mostSteps) throw new Error('it does not come to an end in reasonable time');
  }

  /** Python's behaviour where the library differs; undefined elsewhere. */
  #asPython(
    { type, operator, left, right, operand, filter, callee, args }: Statement,
    scope: Scope,
  ): RuntimeValue | undefined {
    const textOf = (part: Statement | undefined): string => pythonText(this.evaluate(part, scope));
    if (type === 'BinaryExpression' && operator?.value === '~') return text(textOf(left) + textOf(right));
    if (type === 'FilterExpression' && filter?.value === 'string') return text(textOf(operand));
    if (type === 'FilterExpression' && filter?.callee?.value === 'format') {
      const values = filter.args!.map((each) => this.evaluate(each, scope));
      return text(formatted(textOf(operand), values));
    }
    const side = type === 'CallExpression' && callee?.type === 'MemberExpression' ? callee.property?.value : undefined;
    if (args?.length !== 1 || !['strip', 'lstrip', 'rstrip'].includes(side as string)) return undefined;
    return text(stripped(textOf(callee!.object), side as string, textOf(args[0])));
  }
}

/** An error that the template raises itself, such as for turns in the wrong order: a fault of the conversation. */
export class RaisedByTemplate extends Error {}

function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (length <= longestRange) return Array.from({ length }, (_, i) => from + i * step);
  throw new Error(`it makes a range of ${length} numbers`);
}

const months = 'January February March April May June July August September October November December'.split(' ');

/** The current time in English, independent of the locale. */
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
 * Compiles a template; blocks are trimmed as in transformers.
 * @returns renders variables; throws OnnxLoraError `CONFIG_INVALID` where the template fails or exceeds the limits, and
 * {@link RaisedByTemplate}
 * @throws OnnxLoraError `CONFIG_INVALID` for a template that is too large or does not parse
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
  // The library takes quadratic time for a run of blanks.
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
