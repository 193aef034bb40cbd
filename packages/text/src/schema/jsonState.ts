/** @file A lazy automaton over the bytes of a JSON text. */

import { type JsonShape, MOST_DEPTH } from './jsonShape.ts';
import { type Part, whole } from './jsonParts.ts';

/** The allowed continuations of a text. Equivalent states are identical. */
export interface JsonState {
  /** Whether the text so far is a complete value. */
  readonly isWhole: boolean;
  /** The state after one more byte; undefined if it is not allowed. */
  after(byte: number): JsonState | undefined;
}

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

/** Interns states. */
class States {
  readonly #known = new Map<string, State>();
  readonly end: State = this.#of([], true);

  get size(): number {
    return this.#known.size;
  }

  /** The state that expects the parts and then `rest`. */
  before(parts: readonly Part[], rest: State): State {
    return parts.reduceRight((behind, part) => this.#of([{ part, rest: behind }], false), rest);
  }

  /** The union of states. Equal parts are merged, so alternatives do not multiply with depth. */
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

/** An automaton of a shape's texts, which keeps its states. */
export class JsonAutomaton {
  readonly #states = new States();
  /** The state before the first byte. */
  readonly start: JsonState;

  constructor(shape: JsonShape) {
    this.start = this.#states.before(whole(shape, MOST_DEPTH), this.#states.end);
  }

  get size(): number {
    return this.#states.size;
  }
}
