/** @file What a model that learns preferences is compared with. */

import { type Adapter, loadAdapter, OnnxLoraError } from '@onnx-lora/sdk';

/** The model alone, as a reference. */
const BASE = 'base';

/** With which adapter the model is the reference. */
export class ComparedWith {
  readonly #reference: Adapter | string | undefined;
  #loaded: Promise<Adapter> | undefined;

  constructor(reference: Adapter | string | undefined) {
    this.#reference = reference;
  }

  /**
   * Undefined for the model alone.
   *
   * @throws OnnxLoraError as `loadAdapter`
   */
  async adapter(): Promise<Adapter | undefined> {
    const reference = this.#reference;
    if (reference === undefined || reference === BASE) return undefined;
    return typeof reference === 'string' ? (this.#loaded ??= loadAdapter(reference)) : reference;
  }

  /** @throws OnnxLoraError `CONFIG_INVALID` where it was not said */
  requireChoice(): void {
    if (this.#reference !== undefined) return;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'The run begins with an adapter, and nothing says whether it is to stay near the model with that adapter, or near the model alone. Name the adapter as the reference, as most do (reference, or --set reference=runs/answers/adapter), or "base".',
    );
  }
}
