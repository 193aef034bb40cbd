/** @file Gathers the residues of a sequence, which come one by one. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { EmbeddingAnswer } from './embeddingRows.ts';

/** The embeddings of a sequence's residues, `[rows, width]`. */
export interface ResidueMatrix {
  /** What it is filed under. */
  readonly name: string;
  readonly rows: number;
  readonly width: number;
  readonly numbers: Float32Array;
}

/** Residues of the sequence that is being read; a matrix is given on when the next sequence begins. */
export class ResidueMatrices {
  readonly #give: (matrix: ResidueMatrix) => Promise<void>;
  readonly #nameOf: (id: string) => string;
  readonly #names = new Set<string>();
  #id = '';
  #rows: Float32Array[] = [];

  /** @param nameOf what the matrix of a sequence is filed under */
  constructor(give: (matrix: ResidueMatrix) => Promise<void>, nameOf: (id: string) => string = String) {
    this.#give = give;
    this.#nameOf = nameOf;
  }

  /** @throws OnnxLoraError `DATA_INVALID` for an id that another sequence has */
  async write({ id, embedding, position }: EmbeddingAnswer): Promise<void> {
    if (position === 1 || id !== this.#id) {
      await this.end();
      const name = this.#nameOf(id);
      if (this.#names.has(name)) {
        throw new OnnxLoraError(
          'DATA_INVALID',
          `Two sequences are called "${name}", and embeddings of residues are filed under these names. Give each its own.`,
        );
      }
      this.#names.add(name);
      this.#id = id;
    }
    this.#rows.push(embedding);
  }

  /** Gives on what is there. */
  async end(): Promise<void> {
    const rows = this.#rows;
    if (rows.length === 0) return;
    this.#rows = [];
    const width = rows[0]!.length;
    const numbers = new Float32Array(rows.length * width);
    rows.forEach((row, i) => numbers.set(row, i * width));
    await this.#give({ name: this.#nameOf(this.#id), rows: rows.length, width, numbers });
  }
}
