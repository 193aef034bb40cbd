/** @file What a metric is to the bootstrap: a function of how often each example is drawn. */

import type { Metrics } from '../../dataset.ts';

/**
 * Metrics of a fixed set of examples, of which each counts `times[i]` times; once without it. Whatever takes long, such as
 * sorting, is done when the measure is made, so that it can be asked a thousand times.
 */
export type Measure<Result extends Metrics = Metrics> = (times?: ArrayLike<number>) => Result;
