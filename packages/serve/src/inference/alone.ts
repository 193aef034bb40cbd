/** @file Each request by itself, in the order of their coming. */

import type { Compute, Job, Scheduler } from '../scheduler/job.ts';

/** A scheduler that makes no batches. */
export function alone<Work, Answer>(compute: Compute<Work, Answer>): Scheduler<Work, Answer> {
  const running = new Set<Promise<unknown>>();
  return {
    async submit(job: Job<Work>): Promise<Answer> {
      const computed = compute([job], job.signal ?? new AbortController().signal);
      running.add(computed);
      const [answer] = await computed.finally(() => running.delete(computed));
      if (answer instanceof Error) throw answer;
      return answer as Answer;
    },
    async drain(): Promise<void> {
      await Promise.allSettled(running);
    },
  };
}
