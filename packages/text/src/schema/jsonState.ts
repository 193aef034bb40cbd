/** @file A lazy automaton over the bytes of a JSON text. */

import { type JsonShape, MOST_DEPTH } from './jsonShape.ts';
import { type Part, whole } from './jsonParts.ts';

/** All that may follow what is written. States that allow the same are the same. */
export interface JsonState {
  /** Whether the text so far is a complete value. */
  readonly isWhole: boolean;
  /** The state after one more byte; undefined where it is not allowed. */
  after(byte: number): JsonState | undefined;
}

/** A part, and what may follow it. */
interface Branch {
  readonly part: Part;
  readonly rest: State;
}

class State implements JsonState {
  readonly id: number;
  readonly isWhole: boolean;
  readonly isEnd: boolean;
  readonly branches: readonly Branch[];
  readonly #states: States;
  readonly #next: (State | null | undefined)[] = [];

  constructor(states: States, id: number, branches: readonly Branch[], isEnd: boolean) {
    this.#states = states;
    this.id = id;
    this.branches = branches;
    this.isEnd = isEnd;
    this.isWhole = isEnd || branches.some(({ part, rest }) => part.isOptional && rest.isWhole);
  }

  after(byte: number): State | undefined {
    const found = this.#next[byte];
    if (found !== undefined) return found ?? undefined;
    const all = this.branches.flatMap(({ part, rest }) => {
      const left = part.after(byte).map((parts) => this.#states.before(parts, rest));
      const skipped = part.isOptional ? rest.after(byte) : undefined;
      return skipped ? [...left, skipped] : left;
    });
    const next = all.length === 0 ? null : this.#states.union(all);
    this.#next[byte] = next;
    return next ?? undefined;
  }
}

/** Makes each state once. */
class States {
  readonly #known = new Map<string, State>();
  readonly end: State = this.#of([], true);

  get size(): number {
    return this.#known.size;
  }

  /** The parts, and then what is there. */
  before(parts: readonly Part[], rest: State): State {
    return parts.reduceRight((behind, part) => this.#of([{ part, rest: behind }], false), rest);
  }

  /** All that one of the states allows. The same part comes once, so that alternatives do not multiply with depth. */
  union(all: readonly State[]): State {
    const states = [...new Set(all)];
    if (states.length === 1) return states[0]!;
    const rests = new Map<string, { readonly part: Part; readonly rests: State[] }>();
    for (const { part, rest } of states.flatMap(({ branches }) => branches)) {
      const found = rests.get(part.key);
      if (found) found.rests.push(rest);
      else rests.set(part.key, { part, rests: [rest] });
    }
    const branches = [...rests.values()].map(({ part, rests: behind }) => ({ part, rest: this.union(behind) }));
    return this.#of(branches, states.some(({ isEnd }) => isEnd)); // prettier-ignore
  }

  #of(branches: readonly Branch[], isEnd: boolean): State {
    const key = JSON.stringify([isEnd, ...branches.map(({ part, rest }) => `${rest.id} ${part.key}`).sort()]);
    const known = this.#known.get(key);
    if (known) return known;
    const state = new State(this, this.#known.size, branches, isEnd);
    this.#known.set(key, state);
    return state;
  }
}

/** An automaton of the texts that a shape allows. Its states stay as long as it does. */
export class JsonAutomaton {
  readonly #states = new States();
  /** Before the first byte. */
  readonly start: JsonState;

  constructor(shape: JsonShape) {
    this.start = this.#states.before(whole(shape, MOST_DEPTH), this.#states.end);
  }

  /** How many states were made. */
  get size(): number {
    return this.#states.size;
  }
}
