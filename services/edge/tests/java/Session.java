import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.springframework.messaging.MessageDeliveryException;
import org.springframework.messaging.simp.stomp.ConnectionLostException;
import org.springframework.messaging.simp.stomp.StompCommand;
import org.springframework.messaging.simp.stomp.StompFrameHandler;
import org.springframework.messaging.simp.stomp.StompHeaders;
import org.springframework.messaging.simp.stomp.StompSession;
import org.springframework.messaging.simp.stomp.StompSessionHandlerAdapter;
import org.springframework.web.socket.WebSocketHttpHeaders;
import org.springframework.web.socket.messaging.WebSocketStompClient;

/** One application on Spring's client: what that tells it, in order, each thing taken once. */
final class Session extends StompSessionHandlerAdapter {
    /** Above what a busy machine with two cores needs for any single step. */
    private static final long PATIENCE_S = 30;

    /** One thing told; `kind` is connected, message, receipt, error (the frame), closed or trouble. */
    record Told(String kind, StompHeaders headers, byte[] body) {
        String header(String name) {
            return headers.getFirst(name);
        }

        String text() {
            return new String(body, StandardCharsets.UTF_8);
        }
    }

    private final WebSocketStompClient client;
    private final String url;
    private final StompHeaders connectHeaders = new StompHeaders();
    private final List<Told> untaken = new ArrayList<>();
    private StompSession stomp;

    /** Connects with these CONNECT headers, alternately name and value, when asked to. */
    Session(WebSocketStompClient client, String url, String... connectHeaders) {
        this.client = client;
        this.url = url;
        for (int at = 0; at < connectHeaders.length; at += 2) {
            this.connectHeaders.add(connectHeaders[at], connectHeaders[at + 1]);
        }
    }

    /** Once. */
    void tryToConnect() throws Exception {
        stomp = client.connectAsync(url, new WebSocketHttpHeaders(), connectHeaders, this).get(PATIENCE_S, TimeUnit.SECONDS);
    }

    /** Until it works: the client does not come back by itself. */
    Told connect() throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        while (true) {
            try {
                tryToConnect();
                return take("connected");
            } catch (ExecutionException nobodyThere) {
                if (System.nanoTime() > deadline) throw nobodyThere;
                Thread.sleep(100);
            }
        }
    }

    // What Spring calls, on threads of its own.

    private synchronized void tell(String kind, StompHeaders headers, Object body) {
        untaken.add(new Told(kind, headers, body == null ? new byte[0] : (byte[]) body));
        notifyAll();
    }

    @Override
    public void afterConnected(StompSession session, StompHeaders headers) {
        tell("connected", headers, null);
    }

    /** ERROR. */
    @Override
    public void handleFrame(StompHeaders headers, Object body) {
        tell("error", headers, body);
    }

    @Override
    public Type getPayloadType(StompHeaders headers) {
        return byte[].class;
    }

    @Override
    public void handleTransportError(StompSession session, Throwable error) {
        tell(error instanceof ConnectionLostException ? "closed" : "trouble", new StompHeaders(), bytes(error.toString()));
    }

    @Override
    public void handleException(StompSession session, StompCommand command, StompHeaders headers, byte[] body, Throwable error) {
        tell("trouble", headers, bytes(error.toString()));
    }

    // What the test asks.

    Told take(String kind) throws InterruptedException {
        return take(kind, told -> true);
    }

    /** The first thing of this kind that is wanted and has not been taken; waits for it. */
    synchronized Told take(String kind, Predicate<Told> wanted) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        while (true) {
            for (Told told : untaken) {
                if (told.kind().equals(kind) && wanted.test(told)) {
                    untaken.remove(told);
                    return told;
                }
            }
            long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
            if (left <= 0) throw new AssertionError("no " + kind + " within " + PATIENCE_S + " s; untaken: " + left());
            wait(left);
        }
    }

    synchronized String left() {
        List<String> texts = new ArrayList<>();
        untaken.forEach(told -> texts.add(told.kind() + " " + told.headers() + " " + told.text().lines().findFirst().map(text -> text.substring(0, Math.min(200, text.length())))));
        return String.join(", ", texts);
    }

    synchronized boolean wasTold(String kind) {
        return untaken.stream().anyMatch(told -> told.kind().equals(kind));
    }

    Told receipt(String id) throws InterruptedException {
        return take("receipt", told -> id.equals(told.headers().getReceiptId()));
    }

    /** Headers: alternately name and value. */
    StompSession.Subscription subscribe(String destination, String... headers) {
        StompSession.Subscription subscription = stomp.subscribe(headers(destination, headers), new StompFrameHandler() {
            @Override
            public Type getPayloadType(StompHeaders of) {
                return byte[].class;
            }

            @Override
            public void handleFrame(StompHeaders of, Object body) {
                tell("message", of, body);
            }
        });
        if (subscription.getReceiptId() != null) subscription.addReceiptTask(of -> tell("receipt", of, null));
        return subscription;
    }

    void send(String destination, byte[] body, String... headers) {
        StompSession.Receiptable sent = stomp.send(headers(destination, headers), body);
        if (sent.getReceiptId() != null) sent.addReceiptTask(of -> tell("receipt", of, null));
    }

    /** SEND that is stored; its message-id. */
    String stored(String destination, String body, String receipt) throws InterruptedException {
        send(destination, bytes(body), "receipt", receipt);
        return receipt(receipt).header("message-id");
    }

    /** DISCONNECT; Spring closes at once, whatever it asks for. */
    void leave() {
        StompHeaders headers = new StompHeaders();
        headers.setReceipt("bye");
        lastWords(() -> stomp.disconnect(headers));
        if (stomp.isConnected()) throw new AssertionError("still connected");
    }

    /**
     * Sends a frame behind which the edge closes at once. Tyrus, when it is still in the middle of sending then, cannot set
     * its idle time-out any more and says so.
     */
    static void lastWords(Runnable send) {
        try {
            send.run();
        } catch (MessageDeliveryException sent) {
            if (!(sent.getCause() instanceof RejectedExecutionException)) throw sent;
        }
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static StompHeaders headers(String destination, String... more) {
        StompHeaders headers = new StompHeaders();
        headers.setDestination(destination);
        for (int at = 0; at < more.length; at += 2) {
            headers.add(more[at], more[at + 1]);
        }
        return headers;
    }
}
