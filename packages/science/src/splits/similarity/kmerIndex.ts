/** @file K-mer index, which finds candidates without comparing all pairs. */

import type { Scoring } from './scoring.ts';

/** X-drop of an ungapped extension. */
const DROP = 20;
/** Bits of a hash bucket: more buckets than protein words. */
const BUCKET_BITS = 18;
/** Sentinel around every sequence, above all letter codes. */
const END = 31;
/** Longest repeat unit that is indexed once; telomeres have six letters. */
const LONGEST_UNIT = 6;
/** Maximum postings per word: very common words say little. */
const MOST_PLACES = 4096;
const END_BITS = 5;

export interface SimilarCandidate {
  readonly number: number;
  /** Diagonal of its best ungapped segment: position in it minus position in the query. */
  readonly diagonal: number;
  readonly score: number;
}

/**
 * An index of words in sequences, of some 12 bytes per added letter. Words are spaced seeds over a reduced alphabet, so
 * that one position in them may differ.
 * @see Altschul et al., "Gapped BLAST and PSI-BLAST" (1997) for the extension of hits; Murphy, Wallqvist and Levy,
 * "Simplified amino acid alphabets" (2000)
 */
export class KmerIndex {
  readonly #scoring: Scoring;
  readonly #places: readonly number[];
  readonly #kinds: Int32Array;
  /** Scores by letter pair, with the sentinel. */
  readonly #scores: Int8Array;
  /** All sequences, separated by sentinels. */
  #text: Uint8Array<ArrayBuffer> = new Uint8Array(1).fill(END);
  #length = 1;
  readonly #starts: number[] = [];
  readonly #words: (Postings | undefined)[] = new Array<undefined>(1 << BUCKET_BITS).fill(undefined);
  /** Position up to which each diagonal was searched, counted over all queries. */
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

  sequence(number: number): Uint8Array {
    return this.#text.subarray(this.#starts[number], (this.#starts[number + 1] ?? this.#length) - 1);
  }

  /** Sequences with a similar segment, best first. */
  candidates(codes: Uint8Array): SimilarCandidate[] {
    this.#prepare(codes.length);
    const [looked, scores, text, asked] = [this.#looked, this.#scores, this.#text, this.#asked];
    const query = new Uint8Array(codes.length + 2).fill(END);
    query.set(codes, 1);
    const found = new Map<number, SimilarCandidate>();
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
        // Ungapped extension of the hit, right then left.
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
   * The bucket of the word at each position; negative without a word, or for the repetition of one just before: runs
   * and short repeats (poly-A, poly-Q, microsatellites) match everywhere, which would take quadratic time. Their first
   * word leads to them.
   */
  #wordsOf(codes: Uint8Array): Int32Array {
    const words = Int32Array.from(codes, (_, at) => this.#wordAt(codes, at));
    return words.map((word, at) => {
      for (let back = 1; back <= LONGEST_UNIT && back <= at; back++) if (words[at - back] === word) return -1;
      return word;
    });
  }

  #wordAt(codes: Uint8Array, at: number): number {
    let word = 0;
    for (const place of this.#places) {
      const kind = at + place < codes.length ? this.#kinds[codes[at + place]!]! : -1;
      if (kind < 0) return -1;
      word = (Math.imul(word, this.#scoring.groups.length) + kind) | 0;
    }
    // Knuth's multiplicative hash; collisions do not survive the extension.
    return Math.imul(word, 0x9e3779b1) >>> (32 - BUCKET_BITS);
  }

  #prepare(length: number): void {
    if (this.#length + length > this.#looked.length || this.#asked + length >= 2 ** 31) {
      this.#looked = new Int32Array(roomFor(this.#length + length));
      this.#asked = 0;
    }
  }

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

function roomFor(length: number): number {
  return Math.ceil(1.5 * length) + 1;
}
