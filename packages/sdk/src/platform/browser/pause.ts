/** @file Pauses that let a page's other work run. */

/** Resolves after the page's pending events. A timer would wait 4 milliseconds. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener('message', () => {
      port1.close();
      resolve();
    });
    (port1 as unknown as { start(): void }).start();
    port2.postMessage(undefined);
  });
}

/** Resolves after so many milliseconds. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

export function repeat(call: () => void, milliseconds: number): () => void {
  const timer = setInterval(call, milliseconds);
  return () => clearInterval(timer);
}
