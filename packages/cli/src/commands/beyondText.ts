/** @file What answers have beside the text that is all that is printed of them. */

import type { Prediction } from '@onnx-lora/sdk';

/** Gathers, answer by answer, the names of what is not printed. */
export class BeyondText {
  readonly #names = new Set<string>();

  /** Takes in an answer that was printed. */
  add(prediction: Prediction): void {
    if (typeof prediction['text'] !== 'string') return;
    for (const [name, value] of Object.entries(prediction))
      if (name !== 'text' && name !== 'file' && value !== undefined) this.#names.add(name);
  }

  /** What the user is to know at the end; undefined where everything was printed. */
  get note(): string | undefined {
    if (this.#names.size === 0) return undefined;
    return `Answers have more than their text (${[...this.#names].join(', ')}): --json or --out FILE shows it.`;
  }
}
