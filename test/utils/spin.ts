/** Holds the thread up for so many milliseconds. */
export const spin = (millis: number): void => {
  const end = performance.now() + millis
  while (performance.now() < end);
}
