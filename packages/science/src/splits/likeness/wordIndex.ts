/** @file Finds sequences that share words with others, without comparing all with all. */

import type { Scoring } from './scoring.ts';

/** An extension ends where its score has fallen by so much below its best. */
const DROP = 20;
/** Bits of a word's bucket: more than there are words of proteins. */
const BUCKET_BITS = 18;
/** What stands before and after every sequence: no piece goes on there. Codes of letters are below it. */
const END = 31;
/** Letters of a unit whose repeats are counted once; telomeres have six. */
const LONGEST_UNIT = 6;
/** Places of one word that are looked at: what is in more sequences, such as the word of a tail that all have, tells little of any. */
const MOST_PLACES = 4096;
const END_BITS = 5;

/** A sequence that may be like the one that was asked for. */
export interface LikeCandidate {
  /** The number that {@link WordIndex.add} gave it. */
  readonly number: number;
  /** Where its best piece without gaps lies: place in it minus place in the other. */
  readonly diagonal: number;
  readonly score: number;
}

/**
 * An index of words of sequences. Memory grows with the letters that are added: some 12 bytes each. Words are spaced, so that one
 * place in them may differ, and made of kinds of letters.
 *
 * @see Altschul et al., "Gapped BLAST and PSI-BLAST" (1997) for the extension of hits; Murphy, Wallqvist and Levy, "Simplified
 * amino acid alphabets" (2000)
 */
export class WordIndex {
  readonly #scoring: Scoring;
  readonly #places: readonly number[];
  readonly #kinds: Int32Array;
  /** By one letter and another, with what ends every piece. */
  readonly #scores: Int8Array;
  /** All sequences one after the other, with an end before and after each. */
  #text: Uint8Array<ArrayBuffer> = new Uint8Array(1).fill(END);
  #length = 1;
  readonly #starts: number[] = [];
  readonly #words: (Postings | undefined)[] = new Array<undefined>(1 << BUCKET_BITS).fill(undefined);
  /** To which place of the query, counted over all queries, a diagonal has been looked at. */
  #looked: Int32Array<ArrayBuffer> = new Int32Array(0);
  #asked = 0;

  /** @param word one of the scoring's words */
  constructor(scoring: Scoring, word: string = scoring.word) {
    const { letters, scores, groups } = scoring;
    this.#scoring = scoring;
    this.#places = [...word].flatMap((sign, at) => (sign === '1' ? [at] : []));
    this.#kinds = Int32Array.from(letters, (letter) => groups.findIndex((group) => group.includes(letter)));
    this.#scores = new Int8Array(1 << (2 * END_BITS)).fill(-128);
    scores.forEach((score, i) => {
      this.#scores[(Math.floor(i / letters.length) << END_BITS) | (i % letters.length)] = score;
    });
  }

  /** Adds a sequence and gives its number, from 0. */
  add(codes: Uint8Array): number {
    const start = this.#length;
    this.#length += codes.length + 1;
    if (this.#length > this.#text.length) {
      const text = new Uint8Array(roomFor(this.#length));
      text.set(this.#text);
      this.#text = text;
    }
    this.#text.set(codes, start);
    this.#text[this.#length - 1] = END;
    for (const [at, word] of this.#wordsOf(codes).entries()) {
      if (word >= 0) (this.#words[word] ??= new Postings()).push(start + at);
    }
    return this.#starts.push(start) - 1;
  }

  /** The sequence of a number. */
  sequence(number: number): Uint8Array {
    return this.#text.subarray(this.#starts[number], (this.#starts[number + 1] ?? this.#length) - 1);
  }

  /** Sequences with a piece that is like one of `codes`, the best first. */
  candidates(codes: Uint8Array): LikeCandidate[] {
    this.#prepare(codes.length);
    const [looked, scores, text, asked] = [this.#looked, this.#scores, this.#text, this.#asked];
    const query = new Uint8Array(codes.length + 2).fill(END);
    query.set(codes, 1);
    const found = new Map<number, LikeCandidate>();
    const words = this.#wordsOf(codes);
    for (let at = 0; at < codes.length; at++) {
      const word = words[at]!;
      const postings = word < 0 ? undefined : this.#words[word];
      if (!postings) continue;
      const { places } = postings;
      const count = Math.min(postings.count, MOST_PLACES);
      for (let i = 0; i < count; i++) {
        const place = places[i]!;
        const slot = place - at + codes.length;
        if (asked + at < looked[slot]!) continue;
        // The best piece without gaps around the hit: to the right, then to the left.
        let best = 0;
        let end = 0;
        for (let run = 0; run > best - DROP; end++) {
          run += scores[(query[at + 1 + end]! << END_BITS) | text[place + end]!]!;
          if (run > best) best = run;
        }
        for (let run = best, back = 1; run > best - DROP; back++) {
          run += scores[(query[at + 1 - back]! << END_BITS) | text[place - back]!]!;
          if (run > best) best = run;
        }
        looked[slot] = asked + at + end;
        if (best < this.#scoring.pieceScore) continue;
        const number = this.#numberAt(place);
        if (best > (found.get(number)?.score ?? 0)) {
          found.set(number, { number, diagonal: place - this.#starts[number]! - at, score: best });
        }
      }
    }
    this.#asked += codes.length;
    return [...found.values()].sort((a, b) => b.score - a.score || a.number - b.number);
  }

  /**
   * The bucket of the word that begins at each place; negative where there is none, and where it is that of one just before: runs
   * of a letter and short repeats (poly-A, poly-Q, microsatellites) are alike everywhere, and finding each of their places in each
   * other would take time with the square of their lengths. The first of their words leads to them.
   */
  #wordsOf(codes: Uint8Array): Int32Array {
    const words = Int32Array.from(codes, (_, at) => this.#wordAt(codes, at));
    return words.map((word, at) => {
      for (let back = 1; back <= LONGEST_UNIT && back <= at; back++) if (words[at - back] === word) return -1;
      return word;
    });
  }

  /** The bucket of the word that begins at a place; negative where there is none. */
  #wordAt(codes: Uint8Array, at: number): number {
    let word = 0;
    for (const place of this.#places) {
      const kind = at + place < codes.length ? this.#kinds[codes[at + place]!]! : -1;
      if (kind < 0) return -1;
      word = (Math.imul(word, this.#scoring.groups.length) + kind) | 0;
    }
    // Knuth's multiplicative hash; what else falls into a bucket does not outlast the extension.
    return Math.imul(word, 0x9e3779b1) >>> (32 - BUCKET_BITS);
  }

  #prepare(length: number): void {
    if (this.#length + length > this.#looked.length || this.#asked + length >= 2 ** 31) {
      this.#looked = new Int32Array(roomFor(this.#length + length));
      this.#asked = 0;
    }
  }

  /** The sequence that a place is in. */
  #numberAt(place: number): number {
    let [low, high] = [0, this.#starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle]! <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** Places of one word, one after the other in memory. */
class Postings {
  places: Int32Array<ArrayBuffer> = new Int32Array(2);
  count = 0;

  push(place: number): void {
    if (this.count === this.places.length) {
      const places = new Int32Array(roomFor(this.count + 1));
      places.set(this.places);
      this.places = places;
    }
    this.places[this.count++] = place;
  }
}

/** So much that growing by one takes no new memory most of the time. */
function roomFor(length: number): number {
  return Math.ceil(1.5 * length) + 1;
}
