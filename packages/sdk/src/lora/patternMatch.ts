/**
 * @file Matches a parsed pattern in bounded time.
 *
 * Instead of trying one way after another and going back, every part of the pattern maps the position where it starts
 * to all positions where it can end, and remembers the answer. `(a+)+b` costs no more than `a+b`, and what is still
 * large is cut off by a count of steps.
 */

import { OnnxLoraError } from '../errors.ts';
import { type PatternNode, isWord, parsePattern } from './pattern.ts';

/** A pattern ready to be matched against many names. */
export interface Pattern {
  readonly source: string;
  /** Whether the whole text matches, as Python's `re.fullmatch`. */
  fullMatch(text: string): boolean;
  /** Whether a dot-bounded ending matches, as PEFT's `re.match(r"(.*\.)?(PATTERN)$", text)`. */
  endMatch(text: string): boolean;
  /** Whether dot-bounded parts in the middle match, as PEFT's `re.match(r"(^|.*\.)PATTERN($|\..*)", text)`. */
  partMatch(text: string): boolean;
  /** Where a match that begins at `start` can end, in ascending order; empty when there is none. */
  ends(text: string, start: number): readonly number[];
}

/** Steps that one match may take: some tens of milliseconds. Honest patterns take hundreds or thousands. */
const MAX_STEPS = 250_000;

/**
 * Prepares a Python pattern.
 *
 * @param where what the pattern is, for errors, such as `targetModules`.
 * @throws OnnxLoraError `CONFIG_INVALID` when the pattern is not valid, not supported, or too long.
 */
export function compilePattern(source: string, where: string): Pattern {
  const root = parsePattern(source, where);
  const matcher = (text: string): Match => new Match(text, source, where);
  return {
    source,
    ends: (text, start) => matcher(text).ends(root, start),
    fullMatch: (text) => matcher(text).ends(root, 0).includes(text.length),
    endMatch: (text) => {
      const match = matcher(text);
      return partStarts(text).some((start) => match.ends(root, start).includes(text.length));
    },
    partMatch: (text) => {
      const match = matcher(text);
      return partStarts(text).some((start) =>
        match.ends(root, start).some((end) => end === text.length || text[end] === '.'),
      );
    },
  };
}

/** The beginning of the text and the positions after each dot. */
function partStarts(text: string): number[] {
  return [0, ...[...text.matchAll(/\./g)].map(({ index }) => index + 1)];
}

class Match {
  readonly #text: string;
  readonly #source: string;
  readonly #where: string;
  readonly #known = new Map<PatternNode, (readonly number[] | undefined)[]>();
  #steps = 0;

  constructor(text: string, source: string, where: string) {
    this.#text = text;
    this.#source = source;
    this.#where = where;
  }

  /** All ends of `node` from `start`, ascending and without repeats. */
  ends(node: PatternNode, start: number): readonly number[] {
    if (node.kind === 'set') {
      return start < this.#text.length && node.has(this.#text[start]!) ? [start + 1] : [];
    }
    this.#spend(1);
    let known = this.#known.get(node);
    if (!known) this.#known.set(node, (known = []));
    return (known[start] ??= this.#compute(node, start));
  }

  #compute(node: Exclude<PatternNode, { kind: 'set' }>, start: number): readonly number[] {
    switch (node.kind) {
      case 'start':
        return start === 0 ? [0] : [];
      case 'end':
        return start === this.#text.length ? [start] : [];
      case 'word':
        return this.#atWordEdge(start) ? [start] : [];
      case 'notWord':
        return this.#atWordEdge(start) ? [] : [start];
      case 'all':
        return node.of.reduce<readonly number[]>((starts, part) => this.#step(part, starts), [start]);
      case 'any':
        return ascending(node.of.flatMap((part) => this.ends(part, start)));
      case 'look': {
        const found = node.ahead ? this.ends(node.of, start).length > 0 : this.#endsHere(node.of, start);
        return found === node.wanted ? [start] : [];
      }
      case 'repeat':
        return this.#repeat(node.of, node.min, node.max, start);
    }
  }

  #repeat(part: PatternNode, min: number, max: number, start: number): readonly number[] {
    let reached: readonly number[] = [start];
    for (let i = 0; i < min && reached.length > 0; i++) {
      const next = this.#step(part, reached);
      // The same positions again: further rounds change nothing.
      if (next.length === reached.length && next.every((position, j) => position === reached[j])) break;
      reached = next;
    }
    const all = new Set(reached);
    for (let i = min; i < max && reached.length > 0; i++) {
      reached = this.#step(part, reached).filter((position) => !all.has(position));
      for (const position of reached) all.add(position);
    }
    return ascending([...all]);
  }

  #step(part: PatternNode, starts: readonly number[]): readonly number[] {
    if (starts.length === 1) return this.ends(part, starts[0]!);
    const ends = starts.flatMap((start) => this.ends(part, start));
    this.#spend(starts.length + ends.length);
    return ascending(ends);
  }

  #endsHere(node: PatternNode, end: number): boolean {
    for (let start = 0; start <= end; start++) if (this.ends(node, start).includes(end)) return true;
    return false;
  }

  #spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > MAX_STEPS) {
      const shown = this.#source.length > 100 ? `${this.#source.slice(0, 97)}...` : this.#source;
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `The pattern ${JSON.stringify(shown)} in ${this.#where} takes too long to match. Simplify it, or list module names instead.`,
      );
    }
  }

  #atWordEdge(at: number): boolean {
    const before = at > 0 && isWord(this.#text[at - 1]!);
    const after = at < this.#text.length && isWord(this.#text[at]!);
    return before !== after;
  }
}

function ascending(positions: readonly number[]): readonly number[] {
  return positions.length < 2 ? positions : [...new Set(positions)].sort((a, b) => a - b);
}
