/** @file What the options of an adapter come to in one model. */

import type { AdapterConfig } from '../../adapter/formats/peftConfig.ts';
import type { Generation } from '../../adapter/naming/nameTable.ts';
import type { Initializer } from '../../lora/init/initializer.ts';
import type { AdapterPlan } from '../../lora/tunings/moduleTuning.ts';

/** A plan for one model, and the config that PEFT will read. */
export interface PlannedAdapter {
  /** What is injected where. */
  readonly plan: AdapterPlan;
  /** Under the model's own names. */
  readonly config: AdapterConfig;
  /** The generation whose names the options use, where it is not the model's: they were translated. */
  readonly namedAs?: Generation;
  /** What differs from what was asked, and how to have it. */
  readonly warnings: readonly string[];
  /** What gives first values; PEFT's default without. */
  readonly initializer?: Initializer;
}
