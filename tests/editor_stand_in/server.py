class PromptServer:
    class instance:
        client_id = None
