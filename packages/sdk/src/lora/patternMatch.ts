/**
 * @file Matches a parsed pattern in bounded time, without backtracking: each part of it maps a set of start positions
 *   to the set of end positions. `(a+)+b` costs no more than `a+b`, and a step limit bounds the rest.
 */

import { quote } from '../adapter/formats/foreignJson.ts';
import { OnnxLoraError } from '../errors.ts';
import { type PatternNode, isWord, parsePattern } from './pattern.ts';

/** A pattern ready to be matched against many names. */
export interface Pattern {
  /** The source pattern. */
  readonly source: string;
  /** Python's `re.fullmatch`. */
  fullMatch(text: string): boolean;
  /** PEFT's `re.match(r"(.*\.)?(PATTERN)$", text)`. */
  endMatch(text: string): boolean;
  /** PEFT's `re.match(r"(^|.*\.)PATTERN($|\..*)", text)`. */
  partMatch(text: string): boolean;
  /** Ends of matches that start at `start`, ascending. */
  ends(text: string, start: number): readonly number[];
}

/** Step limit of one match: some milliseconds. Honest patterns take hundreds or thousands. */
const MAX_STEPS = 1_000_000;

/** Step limit of a setting's patterns over all modules: about a second; honest ones take a fifth of it. */
const MAX_TOTAL_STEPS = 20_000_000;

/** Steps charged per pattern character for parsing. */
const STEPS_PER_CHARACTER = 50;

/** A step budget shared by patterns: an adapter may bring many, each at its own limit. */
export class PatternWork {
  #left: number;

  /** A budget of so many steps. */
  constructor(steps: number = MAX_TOTAL_STEPS) {
    this.#left = steps;
  }

  /** Spends steps. @throws OnnxLoraError `CONFIG_INVALID` if the budget of `where` is exhausted */
  spend(steps: number, where: string): void {
    this.#left -= steps;
    if (this.#left >= 0) return;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The patterns of ${where} take too long to match together. Use fewer or simpler ones, or list module names instead.`,
    );
  }
}

/**
 * Compiles a Python pattern.
 * @param where name of the pattern in errors, such as `targetModules`
 * @param work budget shared with other patterns; by default the pattern's own
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid, unsupported or too long pattern
 */
export function compilePattern(source: string, where: string, work: PatternWork = new PatternWork()): Pattern {
  work.spend(source.length * STEPS_PER_CHARACTER, where);
  const root = parsePattern(source, where);
  const fixed = fixedSequence(root);
  const ends = (text: string, starts: readonly number[]): readonly number[] => {
    if (!fixed) return new Match(text, source, where, work).ends(root, starts);
    work.spend(1 + starts.length, where);
    return starts.filter((start) => fits(fixed, text, start)).map((start) => start + fixed.sets.length);
  };
  return {
    source,
    ends: (text, start) => ends(text, [start]),
    fullMatch: (text) => ends(text, [0]).includes(text.length),
    endMatch: (text) => {
      if (!fixed) return ends(text, partStarts(text)).includes(text.length);
      const start = text.length - fixed.sets.length;
      return ends(text, isPartStart(text, start) ? [start] : []).length > 0;
    },
    partMatch: (text) => ends(text, partStarts(text)).some((end) => end === text.length || text[end] === '.'),
  };
}

/** The start of the text and the positions after each dot. */
function partStarts(text: string): number[] {
  const starts = [0];
  for (let dot = text.indexOf('.'); dot >= 0; dot = text.indexOf('.', dot + 1)) starts.push(dot + 1);
  return starts;
}

function isPartStart(text: string, at: number): boolean {
  return at === 0 || (at > 0 && text[at - 1] === '.');
}

/** The common case, a plain name: matches have a fixed length and need no search. */
interface FixedSequence {
  readonly sets: readonly ((char: string) => boolean)[];
  /** Whether it begins with "^", and ends with "$". */
  readonly anchors: readonly [boolean, boolean];
}

function fixedSequence(root: PatternNode): FixedSequence | undefined {
  const nodes = root.kind === 'all' ? root.of : [root];
  const anchors = [nodes[0]?.kind === 'start', nodes.length > 1 && nodes.at(-1)?.kind === 'end'] as const;
  const inner = nodes.slice(Number(anchors[0]), nodes.length - Number(anchors[1]));
  const sets = inner.flatMap((node) => (node.kind === 'set' ? [node.has] : []));
  return sets.length === inner.length ? { sets, anchors } : undefined;
}

function fits({ sets, anchors: [atStart, atEnd] }: FixedSequence, text: string, start: number): boolean {
  const end = start + sets.length;
  if (end > text.length || (atStart && start > 0) || (atEnd && end < text.length)) return false;
  return sets.every((has, i) => has(text[start + i]!));
}

/** A set of text positions, including the end: nonzero for members. */
type Positions = Uint8Array;

class Match {
  readonly #text: string;
  readonly #source: string;
  readonly #where: string;
  readonly #work: PatternWork;
  /** Cached look-ahead results per position: 1 for no, 2 for yes. */
  readonly #seen = new Map<PatternNode, Uint8Array>();
  #steps = 0;

  constructor(text: string, source: string, where: string, work: PatternWork) {
    this.#text = text;
    this.#source = source;
    this.#where = where;
    this.#work = work;
  }

  /** All ends of matches from these starts, ascending. */
  ends(root: PatternNode, starts: readonly number[]): readonly number[] {
    const from = this.#none();
    for (const start of starts) from[start] = 1;
    const ends: number[] = [];
    this.#from(root, from).forEach((is, at) => {
      if (is) ends.push(at);
    });
    return ends;
  }

  #from(node: PatternNode, starts: Positions): Positions {
    this.#spend();
    switch (node.kind) {
      case 'set': {
        const ends = this.#none();
        for (let at = 0; at < this.#text.length; at++) if (starts[at] && node.has(this.#text[at]!)) ends[at + 1] = 1;
        return ends;
      }
      case 'start':
        return this.#only(starts, (at) => at === 0);
      case 'end':
        return this.#only(starts, (at) => at === this.#text.length);
      case 'word':
        return this.#only(starts, (at) => this.#atWordEdge(at));
      case 'notWord':
        return this.#only(starts, (at) => !this.#atWordEdge(at));
      case 'all': {
        let reached = starts;
        for (const part of node.of) {
          if (isEmpty(reached)) break;
          reached = this.#from(part, reached);
        }
        return reached;
      }
      case 'any': {
        const ends = this.#none();
        for (const part of node.of) add(ends, this.#from(part, starts));
        return ends;
      }
      case 'look': {
        if (node.ahead) return this.#only(starts, (at) => this.#isAhead(node.of, at) === node.wanted);
        // Matches go forward only: what ends here began here or earlier.
        const ends = this.#from(node.of, this.#none().fill(1));
        return this.#only(starts, (at) => (ends[at] === 1) === node.wanted);
      }
      case 'repeat':
        return this.#repeat(node.of, node.min, node.max, starts);
    }
  }

  #repeat(part: PatternNode, min: number, max: number, starts: Positions): Positions {
    let reached = starts;
    for (let i = 0; i < min && !isEmpty(reached); i++) {
      const next = this.#from(part, reached);
      // A fixed point: further rounds change nothing.
      if (next.every((is, at) => is === reached[at])) break;
      reached = next;
    }
    const all = reached.slice();
    if (part.kind === 'set' && max === Infinity) {
      this.#spend();
      for (let at = 0; at < this.#text.length; at++) if (all[at] && part.has(this.#text[at]!)) all[at + 1] = 1;
      return all;
    }
    for (let i = min; i < max && !isEmpty(reached); i++) {
      const next = this.#from(part, reached);
      reached = this.#only(next, (at) => all[at] === 0);
      add(all, reached);
    }
    return all;
  }

  #isAhead(node: PatternNode, at: number): boolean {
    let seen = this.#seen.get(node);
    if (!seen) this.#seen.set(node, (seen = this.#none()));
    if (seen[at] === 0) {
      const start = this.#none();
      start[at] = 1;
      seen[at] = isEmpty(this.#from(node, start)) ? 1 : 2;
    }
    return seen[at] === 2;
  }

  #none(): Positions {
    return new Uint8Array(this.#text.length + 1);
  }

  #only(positions: Positions, holds: (at: number) => boolean): Positions {
    return positions.map((is, at) => (is && holds(at) ? 1 : 0));
  }

  /** Charges one pass over all positions. */
  #spend(): void {
    const steps = this.#text.length + 1;
    this.#work.spend(steps, this.#where);
    this.#steps += steps;
    if (this.#steps > MAX_STEPS) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `The pattern ${quote(this.#source)} in ${this.#where} takes too long to match. Simplify it, or list module names instead.`,
      );
    }
  }

  #atWordEdge(at: number): boolean {
    const before = at > 0 && isWord(this.#text[at - 1]!);
    const after = at < this.#text.length && isWord(this.#text[at]!);
    return before !== after;
  }
}

function isEmpty(positions: Positions): boolean {
  return !positions.includes(1);
}

function add(positions: Positions, others: Positions): void {
  others.forEach((is, at) => {
    if (is) positions[at] = 1;
  });
}
