/** A question that has to be answered first. */
import type { JSX } from "preact"
import { useEffect, useRef } from "preact/hooks"

/**
 * The browser's own modal dialog: focus stays in it, Escape cancels it, and then focus is where it
 * was.
 */
export const Dialog = ({ children, onCancel, title }: {
  readonly title: string
  readonly onCancel?: () => void
  readonly children: JSX.Element | ReadonlyArray<JSX.Element>
}) => {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const before = document.activeElement
    dialog.current?.showModal()
    return () => {
      // Until it is out of the document nothing else can have the focus.
      if (before instanceof HTMLElement) queueMicrotask(() => before.focus())
    }
  }, [])
  return (
    <dialog
      ref={dialog}
      aria-labelledby="dialog"
      onCancel={(event) => {
        event.preventDefault()
        onCancel?.()
      }}
      // A browser closes it at the second Escape, whatever it is told.
      onClose={() => onCancel === undefined ? dialog.current?.showModal() : onCancel()}
    >
      <h2 id="dialog">{title}</h2>
      {children}
    </dialog>
  )
}
